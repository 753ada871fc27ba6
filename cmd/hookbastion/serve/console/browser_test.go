package console

import (
	"bytes"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
)

// screens are those that people have.
var screens = []struct {
	name          string
	width, height int
}{{"desktop", 1280, 900}, {"phone", 390, 844}}

// manyDecisions is how many are kept behind the pages.
const manyDecisions = 200_000

// pagesOf are the addresses of all pages.
func pagesOf(ring *recent.Ring) map[string]string {
	replayed := ring.Query(recent.Query{Reason: "replayed", Limit: 1}).Decisions[0].DecisionID
	return map[string]string{
		"overview": "/", "day": "/?window=24h&sort=denied", "decisions": "/decisions", "denials": "/decisions?verdict=deny",
		"problem": "/decisions?since=yesterday", "none": "/decisions?webhook=nobody", "webhook": "/webhook?name=shopify-orders",
		"decision": "/decisions/" + replayed, "redeliver": "/decisions/" + replayed + "/redeliver", "keys": "/keys", "policy": "/policy", "anomalies": "/anomalies", "ranges": "/ranges",
	}
}

// Each page, on a desk and on a phone, in light and dark: the browser complains of
// nothing, axe-core finds nothing, nothing is asked for elsewhere, nothing is wider than
// the screen, and the picture has something on it. The pictures are kept where
// HOOKBASTION_SCREENSHOTS names a directory.
func TestPagesInABrowser(t *testing.T) {
	ring := decisionsOfADay(manyDecisions, noon)
	if held, _ := ring.Held(); held != manyDecisions {
		t.Fatalf("%d decisions are kept", held)
	}
	server := serving(t, sample(ring, noon))
	b := startBrowser(t)
	dir := os.Getenv("HOOKBASTION_SCREENSHOTS")
	pages := pagesOf(ring)
	for _, screen := range screens {
		for _, scheme := range []string{"light", "dark"} {
			tab := b.tab(screen.width, screen.height, scheme)
			for _, name := range slices.Sorted(maps.Keys(pages)) {
				tab.open(server.URL + pages[name])
				picture := tab.screenshot(false)
				name = name + "-" + screen.name + "-" + scheme
				judgePicture(t, name, picture, screen.width, scheme == "dark")
				if dir != "" {
					if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				var wide bool
				if tab.eval(`document.documentElement.scrollWidth > innerWidth`, &wide); wide {
					t.Errorf("%s is wider than the screen", name)
				}
				for _, found := range tab.axe() {
					t.Errorf("%s: %s", name, found)
				}
			}
			requests, troubles := tab.seen()
			for _, r := range requests {
				if !strings.HasPrefix(r, server.URL+"/") {
					t.Errorf("asks elsewhere: %s", r)
				}
			}
			for _, trouble := range troubles {
				t.Error(trouble)
			}
			if len(requests) < len(pages)+3 {
				t.Errorf("only %d requests are seen", len(requests))
			}
		}
	}
}

// judgePicture looks whether there is something on it, and whether it is as bright as it
// should be.
func judgePicture(t *testing.T, name string, picture []byte, width int, dark bool) {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds().Dx() != width {
		t.Errorf("%s is %d wide", name, img.Bounds().Dx())
	}
	colors, sum, n := map[[3]uint32]bool{}, uint64(0), uint64(0)
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y += 3 {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x += 3 {
			r, g, b, _ := img.At(x, y).RGBA()
			colors[[3]uint32{r, g, b}] = true
			sum, n = sum+uint64(r+g+b)/3, n+1
		}
	}
	if len(colors) < 20 {
		t.Errorf("%s has %d colors", name, len(colors))
	}
	if bright := sum/n > 0x8000; bright == dark {
		t.Errorf("%s: its brightness is %#x", name, sum/n)
	}
}
