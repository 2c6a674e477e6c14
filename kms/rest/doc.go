// Package rest speaks Hadoop's KMS protocol: HTTP in, kms.Service, HTTP out, and on the passive the forwarding of writes to
// the active. It decides nothing about keys.
//
// A request goes one way; docs/api.md describes what is asked and answered.
//
//	server.go exchange.go     Server and its limits; one request from its first byte to its last
//	path.go routes.go         the escaped path, and the one table of what a method does to it
//	decode.go object.go       the body, and the members of its JSON
//	forward.go elsewhere.go   to the active when that is elsewhere; what is said when it can not be reached
//	keys.go eek.go            decode, one call of kms.Service, encode
//	answer.go handover.go     a success: written, or handed to the passive that asked
//	errors.go                 the one table from an error to a status and a Java class
//
// No answer is ever a redirect that the server made up by itself, so no http.ServeMux may stand before these paths: it
// cleans them, and a stock client takes a redirected roll for one that was done.
package rest
