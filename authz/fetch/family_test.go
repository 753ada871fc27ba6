package fetch

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const keyURL = "https://api.example/keys/"

func pattern(t *testing.T, text string) Pattern {
	t.Helper()
	p, err := ParsePattern(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

func family(t *testing.T, f *fake, config Config, webhooks ...string) (*Fetcher, []*Asker) {
	t.Helper()
	fetcher := running(t, f, config)
	use := fetcher.NewUse()
	var askers []*Asker
	for _, webhook := range webhooks {
		askers = append(askers, use.Family(FamilySource{Patterns: []Pattern{pattern(t, keyURL+"{id}")}, Parse: text}, webhook))
	}
	fetcher.Serve(use)
	return fetcher, askers
}

func look(t *testing.T, a *Asker, id string) (any, State) {
	t.Helper()
	v, state, err := a.Look([]byte(id), time.Now())
	if err != nil && state != Missing {
		t.Errorf("%q: %v and %v", id, state, err)
	}
	if v == nil {
		return nil, state
	}
	return v.Value, state
}

func TestMemberIsFetchedWhenItIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{bodies: map[string]string{keyURL + "a": "key a", keyURL + "b": "key b", keyURL + "r": "bad"}}
		fetcher, askers := family(t, f, Config{}, "one", "two")
		one, two := askers[0], askers[1]
		if v, state := look(t, one, "a"); v != nil || state != Due {
			t.Errorf("at first: %v %v", v, state)
		}
		synctest.Wait()
		if v, state := look(t, one, "a"); v != "key a" || state != Ready {
			t.Errorf("then: %v %v", v, state)
		}
		if v, state := look(t, two, "a"); v != "key a" || state != Ready {
			t.Errorf("at another webhook: %v %v", v, state)
		}

		// The next unknown one waits for AskInterval; one of another webhook does not.
		look(t, one, "b")
		synctest.Wait()
		if _, state := look(t, one, "b"); state != Due || f.count() != 1 {
			t.Errorf("within the interval: %v after %d fetches", state, f.count())
		}
		look(t, two, "nothing")
		synctest.Wait()
		if _, state := look(t, two, "nothing"); state != Missing || f.count() != 2 {
			t.Errorf("what is not there: %v after %d fetches", state, f.count())
		}
		time.Sleep(AskInterval)
		synctest.Wait()
		if v, state := look(t, one, "b"); v != "key b" || state != Ready {
			t.Errorf("after the interval: %v %v", v, state)
		}

		// What is not there is asked for again after a while, and what is no key either.
		n := f.count()
		time.Sleep(forgetAfter)
		f.set(func() { f.bodies[keyURL+"nothing"] = "key n" })
		if _, state := look(t, two, "nothing"); state != Due {
			t.Errorf("after a while: %v", state)
		}
		synctest.Wait()
		if v, _ := look(t, one, "nothing"); v != "key n" || f.count() != n+1 {
			t.Errorf("%v after %d fetches", v, f.count()-n)
		}
		look(t, one, "r")
		synctest.Wait()
		if _, state := look(t, one, "r"); state != Missing {
			t.Errorf("rubbish: %v", state)
		}

		// A server that is away says nothing about an id.
		f.set(func() { f.err = fail(Timeout, "away") })
		time.Sleep(AskInterval)
		look(t, one, "c")
		synctest.Wait()
		if _, state := look(t, one, "c"); state != Due {
			t.Errorf("while the server is away: %v", state)
		}
		if v, state := look(t, one, "a"); v != "key a" || state != Ready {
			t.Errorf("what is known, while the server is away: %v %v", v, state)
		}
		f.set(func() { f.err = nil })

		// A member that its server has no more is one no more.
		f.set(func() { delete(f.bodies, keyURL+"a") })
		time.Sleep(25 * time.Hour)
		if v, state := look(t, one, "a"); v != nil || state != Due {
			t.Errorf("a key that was taken back: %v %v", v, state)
		}
		for _, s := range fetcher.Stats(time.Now()).Sources {
			if s.Name != keyURL+"{id}" {
				t.Errorf("metrics would have the name %q", s.Name)
			}
		}
	})
}

// What cannot be an id costs nothing.
func TestIDsThatHaveNoURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		_, askers := family(t, f, Config{}, "one")
		for _, id := range []string{"", "a/b", "../a", "a%2fb", "a?b", "a#b", "a.b", "a b", "a\x00", "é", strings.Repeat("a", MaxID+1)} {
			if v, state, err := askers[0].Look([]byte(id), time.Now()); v != nil || state != Missing || err == nil {
				t.Errorf("%q: %v %v %v", id, v, state, err)
			}
		}
		time.Sleep(time.Hour)
		if f.count() != 0 {
			t.Errorf("%d fetches", f.count())
		}
	})
}

// A flood of well-formed ids makes one fetch in AskInterval for each webhook; one
// honest id among them is found in the end, as it has the same chance as each.
func TestFloodDoesNotStarve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{bodies: map[string]string{keyURL + "honest": "key"}}
		fetcher, askers := family(t, f, Config{}, "flooded", "quiet")
		flooded, quiet := askers[0], askers[1]
		began, n := time.Now(), 0
		state := Due
		for state != Ready && time.Since(began) < 48*time.Hour {
			for range 100 { // more than there is room for
				n++
				if _, s := look(t, flooded, fmt.Sprint("stranger-", n)); s != Due {
					t.Fatalf("an unknown id: %v", s)
				}
			}
			_, state = look(t, flooded, "honest")
			time.Sleep(AskInterval)
		}
		if state != Ready {
			t.Fatalf("the honest id was not found in %v among %d others", time.Since(began), n)
		}
		if most := int(time.Since(began)/AskInterval) + 1; f.count() > most {
			t.Errorf("%d fetches in %d intervals", f.count(), most)
		}
		fetcher.mu.Lock()
		if len(flooded.candidates) > maxCandidates || len(flooded.family.nothing) > maxNothing {
			t.Errorf("%d candidates, %d remembered", len(flooded.candidates), len(flooded.family.nothing))
		}
		fetcher.mu.Unlock()
		if n := fetcher.Stats(time.Now()).Unasked; n < 36 {
			t.Errorf("of 100 ids at once for 64 places, %d were counted", n)
		}
		f.set(func() { f.bodies[keyURL+"other"] = "key" })
		look(t, quiet, "other")
		synctest.Wait()
		if _, s := look(t, quiet, "other"); s != Ready {
			t.Error("a flood at one webhook holds up another")
		}

		// When the flood is over, so are its fetches.
		time.Sleep(2 * forgetAfter)
		n = f.count()
		time.Sleep(6 * time.Hour)
		if f.count() != n {
			t.Errorf("%d fetches after the flood", f.count()-n)
		}
	})
}

// Many webhooks that see one new id ask once.
func TestOneFetchForAURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{bodies: map[string]string{keyURL + "a": "key"}, block: make(chan struct{})}
		var webhooks []string
		for i := range 200 {
			webhooks = append(webhooks, fmt.Sprint("webhook-", i))
		}
		_, askers := family(t, f, Config{}, webhooks...)
		for _, a := range askers {
			look(t, a, "a")
		}
		synctest.Wait()
		if f.count() != 1 {
			t.Errorf("%d fetches", f.count())
		}
		close(f.block)
		synctest.Wait()
		for _, a := range askers {
			if _, state := look(t, a, "a"); state != Ready {
				t.Fatal(state)
			}
		}
	})
}

// So many at once, whatever is asked for; what is known goes on being refreshed.
func TestFetchesAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{bodies: map[string]string{keysURL: "one"}, block: make(chan struct{})}
		var webhooks []string
		for i := range 100 {
			webhooks = append(webhooks, fmt.Sprint("webhook-", i))
		}
		fetcher, askers := family(t, f, Config{}, webhooks...)
		for i, a := range askers {
			look(t, a, fmt.Sprint("id-", i))
		}
		synctest.Wait()
		if f.count() != maxFetches {
			t.Errorf("%d at once", f.count())
		}
		use := fetcher.NewUse()
		d := use.Document(Source{URL: keysURL, Parse: text})
		fetcher.Serve(use)
		synctest.Wait()
		if f.count() != maxFetches+1 {
			t.Error("a document waits for what strangers asked for")
		}
		close(f.block)
		synctest.Wait()
		if value(d) != "one" {
			t.Error(value(d))
		}
	})
}

// Members that prove nothing go first, so that nobody can put out the one that is
// used by naming others that exist.
func TestMembersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{bodies: map[string]string{}}
		for i := range 3 * maxKnown {
			f.bodies[keyURL+fmt.Sprint(i)] = "key"
		}
		dir := t.TempDir()
		_, askers := family(t, f, Config{Directory: dir}, "one")
		for i := range 3 * maxKnown {
			look(t, askers[0], fmt.Sprint(i))
			synctest.Wait()
			if i == 0 {
				askers[0].Proved([]byte("0"), time.Now())
			}
			time.Sleep(AskInterval)
		}
		synctest.Wait()
		if n := len(*askers[0].family.known.Load()); n != maxKnown {
			t.Errorf("%d members", n)
		}
		if _, state := look(t, askers[0], "0"); state != Ready {
			t.Error("the one that is used was put out")
		}
		if n := len((store{dir}).readAll(askers[0].family.identity)); n != maxKnown {
			t.Errorf("%d are kept", n)
		}
	})
}

func TestMembersSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{bodies: map[string]string{keyURL + "a": "key a"}}
		_, askers := family(t, f, Config{Directory: dir}, "one")
		look(t, askers[0], "a")
		synctest.Wait()
	})
	synctest.Test(t, func(t *testing.T) {
		_, askers := family(t, &fake{err: fail(Connect, "dead")}, Config{Directory: dir}, "one")
		if v, state := look(t, askers[0], "a"); v != "key a" || state != Ready {
			t.Errorf("%v %v", v, state)
		}
	})
}

func TestPatterns(t *testing.T) {
	sns := pattern(t, "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-{hex32}.pem")
	hex := "7ff5318490ec183fbaddaa2a969abfda"
	good := "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-" + hex + ".pem"
	if !sns.Match(good) || sns.Fixed() || sns.Origin() != "https://sns.us-east-1.amazonaws.com" {
		t.Error(sns.String())
	}
	for _, url := range []string{
		"", "http" + good[5:], "HTTPS" + good[5:], good + "?x", good + "#x", good + "/", good + "\n", " " + good, good[:len(good)-4],
		strings.Replace(good, "https://", "https://user@", 1), strings.Replace(good, ".com", ".com:443", 1), strings.Replace(good, ".com", ".com.evil.example", 1),
		strings.Replace(good, ".com", ".com.", 1), strings.Replace(good, "sns.", "SNS.", 1), strings.Replace(good, "us-east-1", "us-east-2", 1),
		strings.Replace(good, "/S", "//S", 1), strings.Replace(good, "/S", "/../S", 1), strings.Replace(good, "/S", "/%53", 1), strings.Replace(good, "/S", `\S`, 1),
		strings.Replace(good, hex, strings.ToUpper(hex), 1), strings.Replace(good, hex, hex+"0", 1), strings.Replace(good, hex, hex[:31], 1),
		strings.Replace(good, hex, hex[:31]+"g", 1), strings.Replace(good, hex, "../../../../../../../../../evil.pe", 1), strings.Replace(good, hex, hex[:31]+"\x00", 1),
	} {
		if sns.Match(url) {
			t.Errorf("%q matches", url)
		}
	}
	if p, err := NamedByPath.place([]Pattern{pattern(t, "https://static.example/prod/keys/pub-key-{id}.pem")}, "/prod/keys/pub-key-a-1.pem"); err != nil || p.url != "https://static.example/prod/keys/pub-key-a-1.pem" {
		t.Error(p, err)
	}
	for _, path := range []string{"@evil.example/prod/keys/pub-key-a.pem", ".evil.example/prod/keys/pub-key-a.pem", "prod/keys/pub-key-a.pem", "//prod/keys/pub-key-a.pem"} {
		if p, err := NamedByPath.place([]Pattern{pattern(t, "https://static.example/prod/keys/pub-key-{id}.pem")}, path); err == nil {
			t.Errorf("%q is %q", path, p)
		}
	}
	for _, bad := range []string{
		"", "http://a.example/", "https://a.example", "https://A.example/", "https://a.example./", "https://.a.example/", "https://a..b/", "https://u@a.example/",
		"https://a.example:/", "https://a.example:123456/", "https://a.example:x/", "https://a.example/?q", "https://a.example/#f", "https://a.example/../b", "https://a.example/./b",
		"https://a.example//b", "https://{id}.example/", "https://{id}/", "https://a.example/{id}/{id}", "https://a.example/{other}", "https://a.example/{id", "https://a.example/a%20b",
		"https:///a", "https://[::1]/", `https://a.example\b/`,
	} {
		if p, err := ParsePattern(bad); err == nil {
			t.Errorf("%q is the pattern %v", bad, p)
		}
	}
	if p := pattern(t, "https://127.0.0.1:8443/jwks.json"); !p.Fixed() || !p.Match(p.String()) || p.Match(p.String()+"x") {
		t.Error(p.String())
	}
}

// A webhook that is gone keeps nothing, and one that stays keeps what it has asked for.
func TestAskersOfWebhooksThatAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{bodies: map[string]string{}}
		fetcher, askers := family(t, f, Config{}, "stays", "goes")
		for _, a := range askers {
			look(t, a, "x")
			synctest.Wait()
			look(t, a, "y")
		}
		use := fetcher.NewUse()
		if again := use.Family(askers[0].family.source, "stays"); again != askers[0] {
			t.Error("a reload makes a webhook forget when it may ask")
		}
		fetcher.Serve(use)
		if n := len(askers[0].family.askers); n != 1 || askers[0].family.asking["goes"] != nil {
			t.Errorf("%d webhooks", n)
		}
	})
}

func BenchmarkLook(b *testing.B) {
	p, err := ParsePattern(keyURL + "{id}")
	if err != nil {
		b.Fatal(err)
	}
	use := New(Config{}).NewUse()
	a := use.Family(FamilySource{Patterns: []Pattern{p}, Parse: text}, "webhook")
	d := a.family.member(place{keyURL + "one", "one"})
	now := time.Now()
	d.current.Store(&Version{Value: "key", Confirmed: now})
	a.family.admit(d)
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, state, _ := a.Look([]byte("one"), now); state != Ready {
				b.Fatal(state)
			}
		}
	})
	b.Run("unknown", func(b *testing.B) {
		b.ReportAllocs()
		a.family.served = true
		for i := 0; b.Loop(); i++ {
			if _, state, _ := a.Look(fmt.Append(nil, i), now); state != Due {
				b.Fatal(state)
			}
		}
	})
}
