package h2_test

import (
	"crypto/rand"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
)

// However many connections send however many halves of large messages, the
// buffers stay in the budget, but for what each connection reads into.
func TestBuffersStayInTheBudget(t *testing.T) {
	config := testConfig()
	config.Bytes, config.InFlight, config.Streams, config.Window = 8<<20, 32, 32, 64<<10
	large, _ := message(1 << 20)
	small, said := message(1000)
	const conns = 8
	s := serve(t, config)
	var all sync.WaitGroup
	for range conns {
		p := s.dial(t)
		all.Go(func() {
			for i := range uint32(30) {
				p.call(2*i+1, unaryPath, false)
				p.rude = true // what its window does not allow is refused
				p.data(2*i+1, false, large[:60000+i*1000], 1<<14-100)
			}
			p.must(p.WritePing(false, [8]byte{'x'}))
			p.awaits("PING true x")
		})
	}
	all.Wait()
	if _, peak, _ := s.pool.Outstanding(); int64(peak) > config.Bytes+2*conns*64<<10 {
		t.Errorf("%d bytes of buffers, with a budget of %d", peak, config.Bytes)
	}
	if pinned := s.Pinned(); pinned > config.Bytes/4 || pinned < 0 {
		t.Errorf("%d bytes are pinned", pinned)
	}
	p := s.dial(t)
	for id := uint32(1); ; id += 2 { // the others lose their places soon
		p.call(id, unaryPath, false)
		p.data(id, true, small, 100)
		if got := p.answer(id); got == answered(said) {
			break
		} else if got != answered("overloaded") {
			t.Fatal(got)
		}
	}
}

// A message in tiny frames costs little more than its size.
func TestTinyFramesOfALargeMessage(t *testing.T) {
	s := serve(t, testConfig())
	p := s.dial(t)
	large, said := message(200 << 10)
	p.call(1, waitPath, false)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p.data(1, true, large, 1)
	<-s.entered
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("%d bytes for a message of %d", grown, len(large))
	}
	close(s.leave)
	if got := p.answer(1); got != answered(said) {
		t.Error(got)
	}
}

// Blocks count while calls hold them, and no longer than until the next read.
func TestBlocksThatCallsHold(t *testing.T) {
	timed(t, "", testConfig(), func(t *testing.T, s *service) {
		p := s.dial(t)
		large, said := message(200 << 10)
		small, _ := message(100)
		for i := range uint32(3) {
			p.call(4*i+1, waitPath, false)
			p.data(4*i+1, true, large, 1<<14)
			<-s.entered
			if n := s.Pinned(); n < int64(len(large)) || n > 2*int64(len(large)) {
				t.Errorf("%d bytes are pinned", n)
			}
			s.leave <- struct{}{}
			if got := p.answer(4*i + 1); got != answered(said) {
				t.Error(got)
			}
			synctest.Wait() // the next read finds it out
			p.call(4*i+3, unaryPath, false)
			p.data(4*i+3, true, small, 1<<14)
			p.answer(4*i + 3)
			synctest.Wait()
			if n := s.Pinned(); n != 0 {
				t.Errorf("%d bytes are pinned, and no call is there", n)
			}
		}
	})
}

// Answers that a peer's windows hold back are bounded.
func TestAnswersThatAreHeldBack(t *testing.T) {
	config := testConfig()
	config.Connections = 1 // which may have all streams
	config.MaxMessage = 1 << 20
	s := serve(t, config)
	p := s.mute(t)
	p.hear()
	p.raw([]byte(http2.ClientPreface))
	p.must(p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
	question := make([]byte, 50000)
	_, _ = rand.Read(question)
	copy(question, []byte{0, 0, 0, byte((50000 - 5) >> 8), byte((50000 - 5) & 255)})
	for i := range uint32(100) {
		p.call(2*i+1, echoPath, false)
		p.data(2*i+1, false, question, 1<<14)
	}
	p.ends()
}

// A call that waits keeps nobody waiting, and neither does a large one.
func TestCallsDoNotWaitForOneAnother(t *testing.T) {
	s := serve(t, testConfig())
	p := s.dial(t)
	small, said := message(100)
	large, saidLarge := message(300 << 10)
	p.call(1, waitPath, false)
	p.data(1, true, small, 1<<14)
	p.call(3, waitPath, false)
	p.data(3, true, large, 1<<14)
	for i := uint32(5); i < 200; i += 2 {
		p.call(i, unaryPath, false)
		p.data(i, true, small, 1<<14)
		if got := p.answer(i); got != answered(said) {
			t.Error(got)
		}
	}
	first, second := <-s.entered, <-s.entered
	// Whoever asks for the end may do so at any time, and often.
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { first.Done(); second.Done() })
	}
	all.Wait()
	if got := p.said(1) + p.said(3); got != "" {
		t.Error(got)
	}
	close(s.leave)
	if a, b := p.answer(1), p.answer(3); a != answered(said) || b != answered(saidLarge) {
		t.Errorf("%s; %s", a, b)
	}
	<-first.Done()
	if first.Err() == nil || first.Answer(nil) {
		t.Error("a call that has ended goes on")
	}
}
