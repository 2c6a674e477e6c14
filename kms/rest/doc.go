// Package rest speaks Hadoop's KMS protocol: HTTP in, kms.Service, HTTP out, and on the passive the forwarding of writes to
// the active. It decides nothing about keys.
//
// A request goes one way: routes.go finds its row by the escaped path, an Authenticator names the caller, decode.go reads
// the body, forward.go sends a write away when the active is elsewhere, keys.go or eek.go make one call, answer.go writes
// what came of it; errors.go is the one table from an error to a status and a Java class. docs/api.md describes all of it.
//
// No answer is ever a redirect that the server made up by itself, so no http.ServeMux may stand before these paths: it
// cleans them, and a stock client takes a redirected roll for one that was done.
package rest
