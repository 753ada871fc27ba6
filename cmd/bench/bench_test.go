package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// The tests run the whole comparison, as short as it can be: the binary of the
// tests serves as the no-op.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == noopCommand || os.Args[1] == floorCommand) {
		if err := run(context.Background(), os.Args[1:]); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// service builds the program that is measured.
func service(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "hookbastion")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "github.com/hookbastion/hookbastion/cmd/hookbastion")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return bin
}

// Every server answers valid deliveries: one denial ends the comparison.
func TestCompare(t *testing.T) {
	o := &options{
		service: service(t), out: filepath.Join(t.TempDir(), "out.json"), rounds: 2, time: 100 * time.Millisecond,
		warm: 10 * time.Millisecond, rate: 200, sizes: allSizes,
	}
	for _, form := range []form{rawHeaders, mapHeaders} {
		o.form = form
		var out bytes.Buffer
		if err := compare(t.Context(), o, &out); err != nil {
			t.Fatal(err)
		}
		var r report
		text, err := os.ReadFile(o.out)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Saturated) != len(allSizes) || r.Latency == nil || strings.Count(out.String(), "| "+nameService+" |") != len(allSizes)+1 {
			t.Errorf("the report is not whole:\n%s", &out)
		}
		for _, table := range append(r.Saturated, r.Latency) {
			for _, row := range table.Rows {
				if row.PerCPU <= 0 || row.Ratio.Low <= 0 || row.Ratio.Low > row.Ratio.Median || row.Ratio.Median > row.Ratio.High || row.P99 < row.P50 || row.P50 <= 0 || !row.Memory {
					t.Errorf("%s, %s: %+v", table.Title, row.Name, row)
				}
			}
		}
	}
}

// TestStores: one row for each store.
func TestStores(t *testing.T) {
	path, err := filepath.Abs("../../.cache/redis/bin") // make test has fetched it
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", path+string(os.PathListSeparator)+os.Getenv("PATH"))
	o, err := parse("compare", []string{"-store", strings.Join(storeNames, ","), "-rounds", "1", "-time", "100ms", "-warm", "10ms", "-rate", "200", "-service", service(t)})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := compare(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	for _, name := range storeNames {
		if strings.Count(out.String(), "| "+nameService+", "+name+" |") != 1 {
			t.Errorf("no %s:\n%s", name, &out)
		}
	}
	if _, err := parse("compare", []string{"-store", "paper"}); err == nil {
		t.Error("a store of paper")
	}
}

func TestThroughEnvoy(t *testing.T) {
	o := &options{service: service(t), rounds: 1, time: 100 * time.Millisecond, warm: 10 * time.Millisecond, rate: 1, sizes: allSizes[:1], clients: []int{2}}
	var out bytes.Buffer
	if err := throughEnvoy(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	for _, front := range newFronts() {
		if strings.Count(out.String(), "| "+front.name+" |") != 1 {
			t.Errorf("no %s:\n%s", front.name, &out)
		}
	}
}

// A piece that is sent is a message, with another id and signature each time.
func TestDeliveriesDiffer(t *testing.T) {
	for _, form := range []form{rawHeaders, mapHeaders, mapAndText} {
		d := newDeliveries(2000, form)
		bodies, signatures := map[string]bool{}, map[string]bool{}
		for range 10 {
			var check authv3.CheckRequest
			if err := proto.Unmarshal(bytes.Join(d.pieces(), nil), &check); err != nil {
				t.Fatal(err)
			}
			http := check.GetAttributes().GetRequest().GetHttp()
			body := string(http.GetRawBody()) + http.GetBody()
			if len(body) != 2000 || !json.Valid([]byte(body)) {
				t.Fatalf("a body of %d bytes: %s", len(body), body)
			}
			signature := http.GetHeaders()["stripe-signature"]
			for _, h := range http.GetHeaderMap().GetHeaders() {
				if h.GetKey() == "stripe-signature" {
					signature = string(h.GetRawValue())
				}
			}
			bodies[body], signatures[signature] = true, true
		}
		if len(bodies) != 10 || len(signatures) != 10 {
			t.Errorf("form %d: %d bodies, %d signatures", form, len(bodies), len(signatures))
		}
	}
}

func TestSpreads(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{{nil, spread{}}, {[]float64{3}, spread{3, 3, 3}}, {[]float64{4, 1, 3}, spread{3, 1, 4}}, {[]float64{4, 1, 3, 2}, spread{2.5, 1, 4}}} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
	l := latencies{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	if l.at(0.5) != 6 || l.at(0.99) != 10 || latencies(nil).at(0.5) != 0 {
		t.Errorf("%d %d", l.at(0.5), l.at(0.99))
	}
	_, err := parse("compare", []string{"-sizes", "2KiB"})
	if err == nil {
		t.Error("a size that does not exist")
	}
}

// The filter of failures is the one that the page shows.
func TestFailuresFilter(t *testing.T) {
	page, err := os.ReadFile("../../docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "<!-- envoy: failures -->\n```yaml\n")
	text, _, _ := strings.Cut(rest, "```")
	var shown struct {
		Filter map[string]any `yaml:"filter"`
	}
	if err := yaml.Unmarshal([]byte(text), &shown); err != nil || !reflect.DeepEqual(shown.Filter, failuresFilter) {
		t.Errorf("%v\n%v\n%v", err, shown.Filter, failuresFilter)
	}
}
