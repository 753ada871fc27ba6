package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStoreSettings(t *testing.T) {
	judgeSettings(t, map[string]string{
		"replay: {store: FILE, file: {path: n}}":            "",
		"replay: {store: FILE, file: {path: n, sync: 0s}}":  "",
		"replay: {store: FILE, file: {path: n, sync: 5us}}": "1:39: replay.file.sync: must be 0s or at least 1ms",
		"replay: {store: FILE, file: {path: n, sync: 2m}}":  "replay.file.sync",
		"replay: {store: FILE}":                             "replay.file.path: is missing",
		"replay: {file: {path: n}}":                         "1:10: replay.file: needs replay.store: FILE",
		"replay: {store: MEMORY, file: {path: n}}":          "replay.file: needs replay.store: FILE",
		"replay: {store: FILES, file: {path: n}}":           "replay.store",
	})
}

// judgeSettings reads settings files: each text is good, or gets an error with
// those words.
func judgeSettings(t *testing.T, texts map[string]string) {
	t.Helper()
	for text, want := range texts {
		file := filepath.Join(t.TempDir(), "settings.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(file, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestRecordSettings(t *testing.T) {
	judgeSettings(t, map[string]string{
		"records: {leave_out: [ok, no_webhook]}":      "",
		"records: {leave_out: [ok, because, 'a\"b']}": `1:27: records.leave_out[1]: "because" is no reason`,
		"records: {denials_per_second: 0}":            "records.denials_per_second",
	})
}

func TestAdminSettings(t *testing.T) {
	judgeSettings(t, map[string]string{
		"admin: {listen: '0.0.0.0:9003'}":                                                                            "set admin.tls with client_ca, or admin.token",
		"admin: {listen: '0.0.0.0:9003', token: t}":                                                                  "",
		"admin: {listen: '0.0.0.0:9003', tls: {cert: c, key: k}}":                                                    "set admin.tls with client_ca, or admin.token",
		"admin: {listen: '0.0.0.0:9003', tls: {cert: c, key: k, client_ca: a}}":                                      "",
		"admin: {listen: '127.0.0.1:9003', tls: {cert: c}}":                                                          "admin.tls.key: is missing",
		"admin: {listen: '127.0.0.1:9003', tls: {cert: c, key: k, client_sans: [x]}}":                                "admin.tls.client_sans: has no use without client_ca",
		"admin: {tls: {cert: c, key: k}}":                                                                            "admin.tls: has no use without admin.listen",
		"admin: {listen: '127.0.0.1:9003'}":                                                                          "",
		"admin: {listen: '127.0.0.1:9003', token: t, readers: {token: r}}":                                           "",
		"admin: {listen: '127.0.0.1:9003', readers: {token: r}}":                                                     "admin.readers.token: has no use without admin.token",
		"admin: {listen: '127.0.0.1:9003', readers: {client_sans: [x]}}":                                             "admin.readers.client_sans: has no use without admin.tls.client_ca",
		"admin: {listen: '127.0.0.1:9003', tls: {cert: c, key: k, client_ca: a}, operators: {client_sans: ['*.x']}}": "admin.operators.client_sans: ",
		"admin: {listen: '127.0.0.1:9003', tls: {cert: c, key: k, client_ca: a}, operators: {client_sans: [x]}}":     "",
		"admin: {listen: '127.0.0.1:9003', hosts: [console.example.com, x]}":                                         "",
		"admin: {listen: '127.0.0.1:9003', hosts: ['console.example.com:443']}":                                      "admin.hosts[0]: is no host name",
		"admin: {listen: '127.0.0.1:9003', hosts: [x, 192.0.2.1]}":                                                   "admin.hosts[1]: is no host name",
		"replay: {access_log: false}":                                                                                "",
		"replay: {lease: 0s}":                                                                                        "lease",
		"replay: {access_log: true, lease: 5s, window: 1h}":                                                          "window",
	})
}

func TestServiceTLSSettings(t *testing.T) {
	judgeSettings(t, map[string]string{
		"grpc: {listen: 0.0.0.0:1, tls: {cert: c, key: k}}":                                         "grpc.listen: 0.0.0.0:1 is reachable from other machines; set grpc.tls with client_ca",
		"grpc: {listen: 0.0.0.0:1, tls: {cert: c, key: k, client_ca: a}}":                           "",
		"grpc: {listen: 127.0.0.1:1, tls: {cert: c, key: k}}":                                       "",
		"grpc: {listen: 127.0.0.1:1, tls: {cert: c}}":                                               "grpc.tls.key: is missing",
		"grpc: {listen: 127.0.0.1:1, tls: {key: k}}":                                                "grpc.tls.cert: is missing",
		"grpc: {unix: {path: s}, tls: {cert: c, key: k}}":                                           "grpc.tls: has no use without grpc.listen",
		"grpc: {tls: {cert: c, key: k, client_sans: [x]}}":                                          "grpc.tls.client_sans: has no use without client_ca",
		"grpc: {tls: {cert: c, key: k, client_ca: a, client_sans: ['*.x']}}":                        "names are compared exactly",
		"grpc: {tls: {cert: c, key: k, client_ca: a, client_sans: ['']}}":                           "must not be empty",
		"grpc: {tls: {cert: c, key: k, client_ca: a, min_version: TLSV1_1}}":                        "grpc.tls.min_version",
		"grpc: {listen: 0.0.0.0:1, insecure: true, tls: {cert: c, key: k, client_sans: [spiffe:]}}": "has no use without client_ca",
	})
}
