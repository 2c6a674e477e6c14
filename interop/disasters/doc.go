// Package disasters loses hosts for good, on a pair of which each is a host of its own, and brings the pair back by the commands of the
// runbooks, under the same names and addresses. The stock Hadoop client, which is neither host, says whether every key is there again.
//
//	disasters_test.go  a host is lost, or both are
//	client_test.go     the stock client, and what was acknowledged to it
//
// What is destroyed is all that the product has on a host: data, configuration, keys, state. Only root can make such hosts, so the tests are
// skipped for everybody else.
package disasters
