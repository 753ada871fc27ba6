package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
)

func newVersion() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Example: `  hookbastion version
  hookbastion version --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.OneOf("--output", output, "text", "json"); err != nil {
				return err
			}
			built := buildOf()
			if output == "json" {
				return cli.PrintJSON(cmd.OutOrStdout(), built)
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), built)
			return err
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	return cmd
}

// build is what is known of the program itself.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	// Modified: the checkout that it was built from had changes of its own.
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"` // GOOS/GOARCH
}

func buildOf() build {
	return build{cli.Version, cli.Revision(), cli.Modified(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
}

func (b build) String() string {
	return fmt.Sprintf("hookbastion %s, revision %s, %s %s", b.Version, b.Revision, b.Go, b.Platform)
}

func newHealthcheck() *cobra.Command {
	var url string
	var verbose bool
	cmd := &cobra.Command{
		Use:     "healthcheck",
		Short:   "Ask a running service whether it is ready; exits 0 if it is and 1 if not",
		Example: "  hookbastion healthcheck --url http://127.0.0.1:9002/readyz",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			page, err := ready(cmd.Context(), url)
			if err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "hookbastion:", err)
				return cli.Denied // 1, which Docker and Kubernetes expect
			}
			if verbose {
				_, err = cmd.OutOrStdout().Write(page)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&url, "url", "http://127.0.0.1:9002/readyz", "address of the service's readiness page")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also print what the service says of itself: a policy, a key or a document that is not the newest, an access log that does not come")
	return cmd
}

// maxPage bounds what is read of the readiness page.
const maxPage = 64 << 10

// ready asks a service whether it is ready, and returns what it says.
func ready(ctx context.Context, url string) ([]byte, error) {
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	page, err := io.ReadAll(io.LimitReader(response.Body, maxPage))
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return page, err
}
