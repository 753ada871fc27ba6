package bench

import rego.v1

default decision := {"allowed": false, "http_status": 401}

http := input.attributes.request.http

items := split(http.headers["stripe-signature"], ",")

stamp := substring(items[0], 2, -1)

decision := {"allowed": true, "headers": {"x-bench-webhook": "stripe", "x-bench-verified": "signature"}} if {
	http.method == "POST"
	startswith(http.path, "/stripe")
	http.host == "hooks.example.com"
	some network in [NETWORKS]
	net.cidr_contains(network, input.attributes.source.address.socketAddress.address)
	age := (time.now_ns() / 1000000000) - to_number(stamp)
	age <= 300
	age >= -60
	body := BODY
	expected := crypto.hmac.sha256(concat(".", [stamp, body]), "KEY")
	crypto.hmac.equal(expected, substring(items[1], 3, -1))
}
