package lint

// rules are all that can be found, in the order of ids. A new one is a value in the
// file of its topic, and a name here.
var rules = []Rule{
	expiredSuppression, idleSuppression, endlessSuppression, emptyReason, leftPlaceholder,
	otherSpelling, belowVerified, otherMethod, otherHostName,
	oneForTwoSenders, oneForTwoWebhooks, oneTwice, secretSent, tenantsAmongSecrets, oneForAllTenants,
	keyEnded, noKeyInForce, twoForEver, oldKey, longOverlap, fromEnvironment, besidePolicies, signsForStrangers,
	unverified, openUnverified, legacyScheme, hearsay,
	weakSecret, publishedSecret, oddSecret, partPlaceholder, guessedDigest,
	noTLS, noTLSVersion, namesAlone, tokenInTheClear, tokenInQuery, tokenAlone, plainURL, passwordInURL,
	onePhase, neverAcknowledged, asksAgain, noSignedTime, longTolerance, farFuture, shortWindow, copiesForwarded, neverReleased, copiesReleased,
	noPublicURL, openBorders, checksumOnly, anybodysDeliveries, brokenHash, weakHash, nothingCovered,
	bodyUnsigned, idUnsigned, pathUnsigned,
	renamed, storeUnread, tokenBindsNoBody, tokenForEver, tokenForAnybody, mixedAlgorithms, audienceOptional, targetUnsigned, bodilessMethod,
	anySource, nobodysSource, exampleSource, localSource, onlyDenied, rangesUnused, rentedSource, oldRanges, endingRanges,
	alwaysTrue, neverTrue, readsUnsigned, tokenInCondition,
	shadow, statusGoesOn, manySignatures, largeHeaders, idleWindow, shortTolerance,
	attacksUnrecorded, fewRecords, warningsUnseen,
}
