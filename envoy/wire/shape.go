package wire

// kind is how a field is written.
type kind uint8

const (
	unknown kind = iota
	varint
	fixed64
	octets
	text // octets that must be UTF-8
	message
	entry // of a map
)

// target is where a field goes. Most go nowhere.
type target uint8

const (
	nowhere target = iota
	toHTTP
	toID
	toMethod
	toPath
	toHost
	toScheme
	toSize
	toText
	toBody
	toHeader    // an entry of header_map
	toMapped    // an entry of the map of headers
	toExtension // an entry of the context extensions
	toKey       // of the entry that is being read
	toValue
	toRawValue
	toSocket // the kinds of a source's address, of which the last one counts
	toPipe
	toInternal
	toSource
	toPrincipal
	toCertificate
	toServerName
	toPort
	toNamedPort // of which nothing is kept, but it replaces the number
	toTime
	toSeconds
	toNanos
)

// field describes a field of a message.
type field struct {
	kind kind
	to   target
	of   shape // of a message, and of the messages in a map
}

// shape is a kind of message.
type shape uint8

// The messages below CheckRequest. A map's entry is a message of its own.
const (
	noShape shape = iota
	checkRequest
	attributes
	sourcePeer
	sourceAddress
	sourceSocket
	peer
	address
	socket
	pipe
	internalAddress
	request
	timestamp
	httpRequest
	headerMap
	headerValue
	stringEntry // of a map from text to text of which nothing is kept
	headerEntry // the same, kept
	metadata
	structEntry
	anyEntry
	tlsSession
	structValue
	valueEntry
	value
	listValue
	anyValue
	shapeCount
)

const maxFields = 14

// shapes are the fields of each message by number, as in
// envoy/service/auth/v3, envoy/config/core/v3 and google/protobuf. A test
// compares them with the descriptors.
var shapes = [shapeCount][maxFields]field{
	checkRequest: {1: {message, nowhere, attributes}},
	attributes: {
		1:  {message, nowhere, sourcePeer},
		2:  {message, nowhere, peer},
		4:  {message, nowhere, request},
		10: {entry, toExtension, headerEntry},
		11: {message, nowhere, metadata},
		12: {message, nowhere, tlsSession},
		13: {message, nowhere, metadata},
	},
	sourcePeer: {
		1: {message, nowhere, sourceAddress}, 2: {kind: text}, 3: {entry, nowhere, stringEntry},
		4: {text, toPrincipal, noShape}, 5: {text, toCertificate, noShape},
	},
	sourceAddress: {1: {message, toSocket, sourceSocket}, 2: {message, toPipe, pipe}, 3: {message, toInternal, internalAddress}},
	sourceSocket:  {1: {kind: varint}, 2: {text, toSource, noShape}, 3: {varint, toPort, noShape}, 4: {text, toNamedPort, noShape}, 5: {kind: text}, 6: {kind: varint}, 7: {kind: text}},

	peer:            {1: {message, nowhere, address}, 2: {kind: text}, 3: {entry, nowhere, stringEntry}, 4: {kind: text}, 5: {kind: text}},
	address:         {1: {message, nowhere, socket}, 2: {message, nowhere, pipe}, 3: {message, nowhere, internalAddress}},
	socket:          {1: {kind: varint}, 2: {kind: text}, 3: {kind: varint}, 4: {kind: text}, 5: {kind: text}, 6: {kind: varint}, 7: {kind: text}},
	pipe:            {1: {kind: text}, 2: {kind: varint}},
	internalAddress: {1: {kind: text}, 2: {kind: text}},

	request:   {1: {message, toTime, timestamp}, 2: {message, toHTTP, httpRequest}},
	timestamp: {1: {varint, toSeconds, noShape}, 2: {varint, toNanos, noShape}},
	httpRequest: {
		1:  {text, toID, noShape},
		2:  {text, toMethod, noShape},
		3:  {entry, toMapped, headerEntry},
		4:  {text, toPath, noShape},
		5:  {text, toHost, noShape},
		6:  {text, toScheme, noShape},
		7:  {kind: text},
		8:  {kind: text},
		9:  {varint, toSize, noShape},
		10: {kind: text},
		11: {text, toText, noShape},
		12: {octets, toBody, noShape},
		13: {message, nowhere, headerMap},
	},
	headerMap:   {1: {message, toHeader, headerValue}},
	headerValue: {1: {text, toKey, noShape}, 2: {text, toValue, noShape}, 3: {octets, toRawValue, noShape}},

	stringEntry: {1: {kind: text}, 2: {kind: text}},
	headerEntry: {1: {text, toKey, noShape}, 2: {text, toValue, noShape}},

	metadata:    {1: {entry, nowhere, structEntry}, 2: {entry, nowhere, anyEntry}},
	structEntry: {1: {kind: text}, 2: {message, nowhere, structValue}},
	anyEntry:    {1: {kind: text}, 2: {message, nowhere, anyValue}},
	tlsSession:  {1: {text, toServerName, noShape}},
	structValue: {1: {entry, nowhere, valueEntry}},
	valueEntry:  {1: {kind: text}, 2: {message, nowhere, value}},
	value: {
		1: {kind: varint}, 2: {kind: fixed64}, 3: {kind: text}, 4: {kind: varint},
		5: {message, nowhere, structValue}, 6: {message, nowhere, listValue},
	},
	listValue: {1: {message, nowhere, value}},
	anyValue:  {1: {kind: text}, 2: {kind: octets}},
}
