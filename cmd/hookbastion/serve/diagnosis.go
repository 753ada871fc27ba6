package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"time"
)

// maxProfile is how many seconds a profile may take.
const maxProfile = 60

// diagnose adds what is asked when something is wrong with the process itself: the
// settings in force, for readers, and profiles as go tool pprof reads them, for operators.
// A profile shows names of functions and sizes, and nothing of what requests hold.
func (a *admin) diagnose(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/settings", a.showSettings)
	mux.HandleFunc("GET /debug/pprof/{$}", a.profiling(listProfiles))
	mux.HandleFunc("GET /debug/pprof/{name}", a.profiling(lookup))
	mux.HandleFunc("GET /debug/pprof/profile", a.profiling(func(w http.ResponseWriter, r *http.Request) {
		during(w, r, 30, func() error { return pprof.StartCPUProfile(w) }, pprof.StopCPUProfile)
	}))
	mux.HandleFunc("GET /debug/pprof/trace", a.profiling(func(w http.ResponseWriter, r *http.Request) {
		during(w, r, 1, func() error { return trace.Start(w) }, trace.Stop)
	}))
}

// showSettings lists the settings in force as config print does, without any secret.
func (a *admin) showSettings(w http.ResponseWriter, _ *http.Request) {
	if a.inForce == nil {
		http.Error(w, "the settings were not read from anywhere", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a.inForce()) // the client is gone
}

// profiling lets operators through alone, and no page elsewhere, not even by a link:
// a profile takes time of all processors.
func (a *admin) profiling(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch site := r.Header.Get("Sec-Fetch-Site"); {
		case a.access.of(r) < toOperate:
			http.Error(w, "forbidden: profiles are for operators", http.StatusForbidden)
		case site != "" && site != "same-origin" && site != "none":
			http.Error(w, "forbidden", http.StatusForbidden)
		default:
			next(w, r)
		}
	}
}

func listProfiles(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, p := range pprof.Profiles() {
		_, _ = fmt.Fprintf(w, "%s\t%d\n", p.Name(), p.Count()) // the client is gone
	}
	_, _ = fmt.Fprintln(w, "profile?seconds=30\ntrace?seconds=1") // the same
}

func lookup(w http.ResponseWriter, r *http.Request) {
	p := pprof.Lookup(r.PathValue("name"))
	if p == nil {
		http.Error(w, "no such profile", http.StatusNotFound)
		return
	}
	debug, _ := strconv.Atoi(r.FormValue("debug")) // 0 without one, as everywhere
	w.Header().Set("Content-Type", "application/octet-stream")
	if debug > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	_ = p.WriteTo(w, debug) // the client is gone
}

// during runs a profile for as many seconds as are asked for.
func during(w http.ResponseWriter, r *http.Request, seconds int, start func() error, stop func()) {
	if text := r.FormValue("seconds"); text != "" {
		var err error
		if seconds, err = strconv.Atoi(text); err != nil || seconds < 1 || seconds > maxProfile {
			http.Error(w, fmt.Sprintf("seconds must be a number from 1 to %d", maxProfile), http.StatusBadRequest)
			return
		}
	}
	// The listener's other answers have ten seconds.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Duration(seconds)*time.Second + 10*time.Second))
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := start(); err != nil {
		http.Error(w, "another one is under way", http.StatusConflict)
		return
	}
	defer stop()
	select {
	case <-time.After(time.Duration(seconds) * time.Second):
	case <-r.Context().Done():
	}
}
