package recent

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/netip"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

// A decision in a chunk: numbers at fixed places, then two bytes for each check, the
// address, the texts, and its own size in two bytes, from which the one before it is
// found.
const (
	atNumber   = 0  // 8 bytes
	atTime     = 8  // 8, microseconds
	atTrace    = 16 // 16
	atSkew     = 32 // 8, milliseconds; noSkew: none
	atBody     = 40 // 8
	atDuration = 48 // 4, microseconds
	atStatus   = 52 // 2
	atVerdict  = 54
	atReason   = 55
	atMark     = 56
	atFlags    = 57
	atChecks   = 58 // their number
	atSource   = 59 // its length: 0, 4 or 16
	atContent  = 60 // 8, of the fingerprint; 0: none
	atTexts    = 68 // 2 for the length of each
	fixed      = atTexts + 2*texts
	sizeBytes  = 2
)

const noSkew = math.MinInt64

// contentBytes of a fingerprint are kept, by which equal content is found.
const contentBytes = 8

// The texts, in their order.
const (
	textID = iota
	textWebhook
	textProvider
	textTenant
	textRequest
	textKey
	textMethod
	textPath
	textUnverified
	textRedeliver
	textDigest
	textEvent
	textHandshake
	textTold
	texts
)

func cut[T ~string | ~[]byte](text T) T { return text[:min(len(text), MaxText)] }

// sizeOf is the number of bytes that the entry takes.
func sizeOf(e *Entry) int {
	n := fixed + 2*len(e.Checks) + sizeBytes
	if e.Source.IsValid() {
		n += e.Source.BitLen() / 8
	}
	for _, s := range [...]string{e.ID, e.Webhook, e.Provider, e.KeyID, e.Unverified, e.Redeliver, e.Digest, e.Handshake, e.Told} {
		n += min(len(s), MaxText)
	}
	for _, s := range [...]authz.View{e.Tenant, e.RequestID, e.Method, e.Path, e.EventID} {
		n += min(len(s), MaxText)
	}
	return n
}

// append writes an entry for which there is room.
func (c *chunk) append(e *Entry, number uint64) {
	at := e.Time.UnixMicro()
	c.newest = max(c.newest, at)
	c.held++
	skew := int64(noSkew)
	if e.Signed {
		skew = e.Skew.Milliseconds()
	}
	begin := len(c.data)
	order := binary.LittleEndian
	b := order.AppendUint64(c.data, number)
	b = order.AppendUint64(b, uint64(at)) //nolint:gosec // the same bits
	b = append(b, e.Trace[:]...)
	b = order.AppendUint64(b, uint64(skew))                                                     //nolint:gosec // the same bits
	b = order.AppendUint64(b, uint64(e.BodyBytes))                                              //nolint:gosec // a length
	b = order.AppendUint32(b, uint32(min(max(e.Duration.Microseconds(), 0), math.MaxUint32)))   //nolint:gosec // in its range
	b = order.AppendUint16(b, uint16(e.Status))                                                 //nolint:gosec // below 600
	b = append(b, byte(e.Verdict), byte(e.Reason), byte(e.Mark), flags(e), byte(len(e.Checks))) //nolint:gosec // there are as many as stages, and two
	b = append(b, byte(e.Source.BitLen()/8))                                                    //nolint:gosec // 0, 4 or 16
	b = append(b, e.Content[:contentBytes]...)
	for _, s := range [texts]int{
		len(e.ID), len(e.Webhook), len(e.Provider), len(e.Tenant), len(e.RequestID), len(e.KeyID),
		len(e.Method), len(e.Path), len(e.Unverified), len(e.Redeliver), len(e.Digest), len(e.EventID),
		len(e.Handshake), len(e.Told),
	} {
		b = order.AppendUint16(b, uint16(min(s, MaxText))) //nolint:gosec // in its range
	}
	for i := range e.Checks {
		b = append(b, byte(e.Checks[i].Stage), byte(e.Checks[i].Reason))
	}
	switch {
	case e.Source.Is4():
		a := e.Source.As4()
		b = append(b, a[:]...)
	case e.Source.IsValid():
		a := e.Source.As16()
		b = append(b, a[:]...)
	}
	b = append(append(append(b, cut(e.ID)...), cut(e.Webhook)...), cut(e.Provider)...)
	b = append(append(append(b, cut(e.Tenant)...), cut(e.RequestID)...), cut(e.KeyID)...)
	b = append(append(append(b, cut(e.Method)...), cut(e.Path)...), cut(e.Unverified)...)
	b = append(append(append(b, cut(e.Redeliver)...), cut(e.Digest)...), cut(e.EventID)...)
	b = append(append(b, cut(e.Handshake)...), cut(e.Told)...)
	c.data = order.AppendUint16(b, uint16(len(b)-begin+sizeBytes)) //nolint:gosec // far below 64 KiB
}

const (
	flagShadow = 1 << iota
	flagSigned // the event's id
)

func flags(e *Entry) (b byte) {
	if e.Shadow {
		b |= flagShadow
	}
	if e.EventSigned {
		b |= flagSigned
	}
	return b
}

// kept is a decision as it lies in a chunk, or in a copy.
type kept []byte

// lastOf splits the last decision off.
func lastOf(data []byte) (rest []byte, k kept) {
	size := int(binary.LittleEndian.Uint16(data[len(data)-sizeBytes:]))
	return data[:len(data)-size], data[len(data)-size:]
}

func (k kept) number() uint64 { return binary.LittleEndian.Uint64(k[atNumber:]) }

func (k kept) micros() int64 {
	return int64(binary.LittleEndian.Uint64(k[atTime:])) //nolint:gosec // the same bits
}

func (k kept) body() int64 {
	return int64(binary.LittleEndian.Uint64(k[atBody:])) //nolint:gosec // a length
}

func (k kept) duration() time.Duration {
	return time.Duration(binary.LittleEndian.Uint32(k[atDuration:])) * time.Microsecond
}

func (k kept) source() []byte {
	at := fixed + 2*int(k[atChecks])
	return k[at : at+int(k[atSource])]
}

// text returns one of the texts.
func (k kept) text(which int) []byte {
	at := fixed + 2*int(k[atChecks]) + int(k[atSource])
	for i := range which {
		at += k.textSize(i)
	}
	return k[at : at+k.textSize(which)]
}

func (k kept) textSize(which int) int {
	return int(binary.LittleEndian.Uint16(k[atTexts+2*which:]))
}

// record decodes the decision.
func (k kept) record(replica string) record.Record {
	order := binary.LittleEndian
	r := record.Record{
		Time: time.UnixMicro(k.micros()).UTC(), DecisionID: k.plain(textID), RequestID: k.plain(textRequest), EventID: k.plain(textEvent),
		Webhook: k.plain(textWebhook), Tenant: k.plain(textTenant), Provider: k.plain(textProvider), Mode: "ENFORCE",
		Verdict: authz.Verdict(k[atVerdict]).String(), Reason: authz.Reason(k[atReason]).String(),
		Status: int(order.Uint16(k[atStatus:])), KeyID: k.plain(textKey), Replay: authz.Mark(k[atMark]).String(),
		Unverified: k.plain(textUnverified), Method: k.plain(textMethod), Path: k.plain(textPath),
		BodyBytes: k.body(), Checks: make([]record.Check, k[atChecks]), Redeliver: k.plain(textRedeliver),
		DurationUS: k.duration().Microseconds(), PolicyDigest: k.plain(textDigest), Replica: replica, Handshake: k.plain(textHandshake), Told: k.plain(textTold),
	}
	r.EventIDUnsigned = r.EventID != "" && k[atFlags]&flagSigned == 0
	if k[atFlags]&flagShadow != 0 {
		r.Mode = "SHADOW"
	}
	if id := k[atTrace:atSkew]; [16]byte(id) != [16]byte{} {
		r.TraceID = hex.EncodeToString(id)
	}
	if source, ok := netip.AddrFromSlice(k.source()); ok {
		r.Source = source.String()
	}
	if skew := int64(order.Uint64(k[atSkew:])); skew != noSkew { //nolint:gosec // the same bits
		r.SkewMS = &skew
	}
	for i := range r.Checks {
		at := k[fixed+2*i:]
		r.Checks[i] = record.Check{Check: authz.Stage(at[0]).String(), Reason: authz.Reason(at[1]).String()}
	}
	return r
}

// plain is a text as JSON would give it back: each byte that is not UTF-8 becomes U+FFFD.
func (k kept) plain(which int) string { return string([]rune(string(k.text(which)))) }
