package convert

import "strings"

// OurNames are the names of our catalogue that names of others become.
func OurNames() (all []string) {
	for _, known := range []map[string]string{ngrokNames, hookdeckNames} {
		for _, ours := range known {
			all = append(all, strings.Split(ours, "|")...)
		}
	}
	return all
}
