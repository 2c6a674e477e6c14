// Package metrics tells Prometheus how this host and the pair are. No name of a key, of a client or of a user is in it: whoever
// may read the metrics learns nothing of what is kept.
//
//	metrics.go  the table: every metric, its labels, and where its value comes from
//	collect.go  Exporter: reads one Report for each scrape, so that its values are of one instant
//	serve.go    the listener
package metrics
