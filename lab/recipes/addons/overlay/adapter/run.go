// Package main: this file joins prometheus-adapter's own while the lab builds it.
//
// Its release was written for older libraries than the other programs of this graph share. Theirs
// name types differently in their OpenAPI documents, stop a server by context, and write durations
// below zero, which the release asks Prometheus to keep to as a timeout.
package main

import (
	"net/http"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/apiserver"
)

// untimed sends queries without their timeout, as the release's own libraries did.
type untimed struct{ next http.RoundTripper }

func (u untimed) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	values := request.URL.Query()
	values.Del("timeout")
	request.URL.RawQuery = values.Encode()
	return u.next.RoundTrip(request)
}

func init() {
	// What it asks Prometheus with.
	http.DefaultClient = &http.Client{Transport: untimed{http.DefaultTransport}}
}

// Server describes the API by what its libraries know of it, not by what the release knew.
func (cmd *PrometheusAdapter) Server() (*apiserver.CustomMetricsAdapterServer, error) {
	cmd.OpenAPIConfig, cmd.OpenAPIV3Config = nil, nil
	return cmd.AdapterBase.Server()
}

// Run serves until the channel is closed.
func (cmd *PrometheusAdapter) Run(stop <-chan struct{}) error {
	return cmd.AdapterBase.Run(wait.ContextForChannel(stop))
}
