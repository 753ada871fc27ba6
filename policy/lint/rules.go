package lint

// rules are all that can be found, in the order of ids. A new one is a value in the
// file of its topic, and a name here.
var rules = []Rule{
	expiredSuppression, idleSuppression, endlessSuppression,
	unverified,
	weakSecret, publishedSecret,
	noTLS, noTLSVersion, namesAlone,
	onePhase, neverAcknowledged, asksAgain, noSignedTime,
	noPublicURL, openBorders, checksumOnly, anybodysDeliveries, brokenHash, weakHash, nothingCovered,
	renamed, storeUnread,
	shadow,
}
