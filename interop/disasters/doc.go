// Package disasters loses hosts for good, on a pair of which each is a host of its own, and brings the pair back by the commands of the
// runbooks, under the same names and addresses. The stock Hadoop client, which is neither host, says whether every key is there again.
//
//	main_test.go       the pair that the tests lose in turn
//	disasters_test.go  a host is lost
//	bothlost_test.go   both are
//	corrupt_test.go    the passive's data is damaged, and then the active is lost
//	version_test.go    both are lost, and the new ones have another PostgreSQL
//	operator_test.go   what an operator has and does
//	client_test.go     the stock client, and what was acknowledged to it
//
// What is destroyed is all that the product has on a host: data, configuration, keys, state. Only root can make such hosts, so the tests are
// skipped for everybody else.
package disasters
