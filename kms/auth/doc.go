// Package auth says who sends a request: Simple believes the name that a client gives itself and the signed cookie that
// came of it (Hadoop's pseudo authentication), Peer believes what the other host of the pair says of a request that it
// forwards. Both make a kms.Principal of an HTTP request; what the principal may do is kms.Policy's business.
//
// The order in which a request is looked at is Hadoop's: the cookie, a delegation token, the name, and last the user that
// a proxy user acts for. Delegation tokens and proxy users are refused, as nothing here can prove them yet.
package auth
