// Package measure is what the packages for metrics share: the table of instruments, with their
// labels and words, and the code that turns a server's hooks and counts into values. A package
// for one system of metrics, such as socketbridge/metrics, implements Recorder and calls Read.
// So all systems have the same metrics.
//
// Every label has a bounded number of values. No label has a text of a client or an ID.
package measure
