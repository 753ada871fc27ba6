package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// content is one signed request. A sender that signs anew has several.
type content struct {
	path, body string
	headers    map[string]string
	key        string
}

// delivery is what a sender wants to be taken.
type delivery struct {
	path, body string
	contents   []content
	answers    []string
	began      time.Time
	refused    bool // it ended with 409
	told       bool // it ended with 2xx
}

// load is senders and attackers.
type load struct {
	world  *world
	client *http.Client

	mu         sync.Mutex
	deliveries []*delivery
	statuses   map[string]int
	hurried    bool // it ended before all was retried

	ending     chan struct{} // no new deliveries
	deadline   chan struct{} // no more retries
	senders    sync.WaitGroup
	attackers  sync.WaitGroup
	fullAttack chan struct{} // bounds copies on their way
	lurking    atomic.Int64  // attackers that wait, or send
}

const (
	thinking   = 40 * time.Millisecond // of a sender between two deliveries
	copies     = 3                     // of each content
	crowd      = 1000                  // attackers at once
	impatience = 10 * time.Second      // of a sender
)

func newLoad(w *world) *load {
	dialer := &net.Dialer{Timeout: time.Second}
	return &load{
		world: w, statuses: map[string]int{}, ending: make(chan struct{}), deadline: make(chan struct{}), fullAttack: make(chan struct{}, 64),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DialContext: dialer.DialContext}},
	}
}

func (l *load) start() {
	for i := range l.world.workers {
		l.senders.Go(func() { l.sender(i, newRandom(l.world.seed, "sender"+strconv.Itoa(i))) })
	}
}

// finish ends the load: senders retry for as long as they are patient.
func (l *load) finish(patience time.Duration) {
	close(l.ending)
	timer := time.AfterFunc(patience, func() { close(l.deadline) })
	l.senders.Wait()
	if timer.Stop() {
		close(l.deadline)
	}
	l.attackers.Wait()
	l.client.CloseIdleConnections()
}

func (l *load) sender(id int, random *rand.Rand) {
	paths := []string{"/timed", "/untimed", "/acknowledged"}
	for i := 0; ; i++ {
		select {
		case <-l.ending:
			return
		case <-time.After(thinking + time.Duration(random.Int64N(int64(thinking)))):
		}
		d := &delivery{began: time.Now(), path: paths[random.IntN(len(paths))], body: fmt.Sprintf(`{"seed":%d,"sender":%d,"n":%d}`, l.world.seed, id, i)}
		l.mu.Lock()
		l.deliveries = append(l.deliveries, d)
		l.mu.Unlock()
		own := rand.New(rand.NewPCG(random.Uint64(), random.Uint64())) //nolint:gosec // to be repeated
		l.senders.Go(func() { l.deliver(d, own) })
	}
}

// deliver sends until it is told that the delivery was taken, or that it is a copy.
func (l *load) deliver(d *delivery, random *rand.Rand) {
	var c content
	signsAnew := d.path == "/timed"
	pause := 200 * time.Millisecond
	if signsAnew {
		pause = 1100 * time.Millisecond // or the time would be the same
	}
	for n := 0; ; n++ {
		if n == 0 || signsAnew {
			c = sign(d.path, d.body, time.Now())
			d.contents = append(d.contents, c)
			l.attack(c, random)
		}
		patience := impatience
		if random.IntN(100) < 3 {
			patience = time.Duration(5+random.IntN(50)) * time.Millisecond // it leaves before the answer
		}
		status, err := l.send(c, patience)
		l.note("sender", status, err)
		d.answers = append(d.answers, time.Now().Format("05.000")+" "+answer(status, err))
		d.refused, d.told = status == http.StatusConflict, err == nil && status/100 == 2
		if d.refused || d.told {
			return
		}
		select {
		case <-l.deadline:
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// attack sends copies, most of them much later.
func (l *load) attack(c content, random *rand.Rand) {
	for range copies {
		if l.lurking.Load() > crowd {
			return // on a machine that is too slow for more
		}
		l.lurking.Add(1)
		wait := time.Duration(random.Int64N(int64(l.world.lurk)))
		if random.IntN(3) == 0 {
			wait = time.Duration(random.Int64N(int64(300 * time.Millisecond)))
		}
		l.attackers.Go(func() {
			defer l.lurking.Add(-1)
			time.Sleep(wait)
			l.fullAttack <- struct{}{}
			defer func() { <-l.fullAttack }()
			l.note("copy", 0, nil)
			status, err := l.send(c, impatience)
			l.note("attacker", status, err)
		})
	}
}

func (l *load) send(c content, patience time.Duration) (status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.world.address+c.path, strings.NewReader(c.body))
	if err != nil {
		return 0, err
	}
	for name, value := range c.headers {
		request.Header.Set(name, value)
	}
	response, err := l.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }() // what was read counts
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, err
	}
	return response.StatusCode, nil
}

func (l *load) note(who string, status int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.statuses[who+" "+answer(status, err)]++
}

func answer(status int, err error) string {
	if err != nil {
		return "-"
	}
	return strconv.Itoa(status)
}

// sign signs as Stripe does for /timed, as GitHub does for the others.
func sign(path, body string, now time.Time) content {
	c := content{path: path, body: body, headers: map[string]string{}}
	if path != "/timed" {
		c.headers["X-Hub-Signature-256"] = "sha256=" + mac(body)
		c.key = key(path, body, "")
		return c
	}
	t := strconv.FormatInt(now.Unix(), 10)
	c.headers["Stripe-Signature"] = "t=" + t + ",v1=" + mac(t+"."+body)
	c.key = key(path, body, c.headers["Stripe-Signature"])
	return c
}

func mac(text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(h, text) // never fails
	return hex.EncodeToString(h.Sum(nil))
}
