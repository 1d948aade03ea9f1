// Copyright: the maas.platform authors
// SPDX-License-Identifier: Apache-2.0

// Asks a tier lookup as fast as it can, or is the simplest server that could answer it.
//
//	lookup serve 127.0.0.1:PORT ANSWER
//	lookup load URL BODY CONNECTIONS SECONDS
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "lookup:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "serve":
		return serve(args[1], []byte(args[2]))
	case len(args) == 5 && args[0] == "load":
		connections, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		seconds, err := strconv.ParseFloat(args[4], 64)
		if err != nil {
			return err
		}
		return load(args[1], []byte(args[2]), connections, time.Duration(seconds*float64(time.Second)))
	}
	return fmt.Errorf("serve ADDRESS ANSWER, or load URL BODY CONNECTIONS SECONDS")
}

// serve reads the question and answers it unread: no server that answers right does less.
func serve(address string, answer []byte) error {
	http.HandleFunc("POST /v1/tiers/lookup", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})
	return http.ListenAndServe(address, nil)
}

type outcome struct {
	times    []time.Duration
	failures int
}

// load asks over so many connections at once, each question as soon as the one before is answered.
func load(url string, body []byte, connections int, lasting time.Duration) error {
	transport := &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	// Every connection is open, and every part of the server warm, before the clock runs.
	ask(client, url, body, connections, lasting/4)
	begun := time.Now()
	outcomes := ask(client, url, body, connections, lasting)
	took := time.Since(begun)

	var times []time.Duration
	failures := 0
	for _, one := range outcomes {
		times = append(times, one.times...)
		failures += one.failures
	}
	if len(times) == 0 {
		return fmt.Errorf("%s: %d questions, no answer", url, failures)
	}
	sort.Slice(times, func(a, b int) bool { return times[a] < times[b] })
	at := func(share float64) float64 {
		place := int(share * float64(len(times)-1))
		return float64(times[place].Microseconds()) / 1000
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"rate":     float64(len(times)) / took.Seconds(),
		"p50_ms":   at(0.50),
		"p99_ms":   at(0.99),
		"failures": failures,
	})
}

func ask(client *http.Client, url string, body []byte, connections int, lasting time.Duration) []outcome {
	outcomes := make([]outcome, connections)
	end := time.Now().Add(lasting)
	var wait sync.WaitGroup
	for index := range outcomes {
		wait.Add(1)
		go func(mine *outcome) {
			defer wait.Done()
			for time.Now().Before(end) {
				begun := time.Now()
				response, err := client.Post(url, "application/json", bytes.NewReader(body))
				if err != nil {
					mine.failures++
					continue
				}
				_, err = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if err != nil || response.StatusCode != http.StatusOK {
					mine.failures++
					continue
				}
				mine.times = append(mine.times, time.Since(begun))
			}
		}(&outcomes[index])
	}
	wait.Wait()
	return outcomes
}
