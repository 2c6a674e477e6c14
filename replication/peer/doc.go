// Package peer is the cluster protocol between the two daemons: HTTP/1.1 and JSON under /cluster/v1/, over mutual TLS.
//
//	POST heartbeat   what replication.Monitor asks: a nonce, and what wants proof
//	POST boundary    where the peer's own WAL ends, for the comparison of histories
//	POST follow      the active tells the passive to stream
//	     forward/…   a client's write, from the passive to the active
//	POST hand        what became of a result that was handed to a forwarding passive
//	     join/…      the one door that wants no client certificate
//
//	server.go   Server: the handler, its functions handed in
//	client.go   Client: replication.Caller
//	forward.go  Forwarder: the http.RoundTripper for kms/rest
//
// No call waits longer than its context, whatever the other host does, and none holds up another: each has a connection
// of its own. Proxy variables mean nothing here.
package peer
