#!/bin/sh
# gregjones/httpcache (Go, 2018-03-05 as in Debian 12): the "304" to one program's own condition is a hit for all others.
#
# A program that has a copy of its own asks with "If-None-Match" and gets "304 Not Modified". If nothing is stored yet the
# library stores that, with its max-age, as the answer for the URL: whoever asks without a condition then gets the status
# 304 and no body, until the lifetime is over, and the origin is not asked. A client that did not ask with a condition
# cannot do anything with a 304; such an answer only serves to freshen what is stored (RFC 9111, sections 3.3 and 4.3.4).
# The other way round a condition is not looked at: a stored 200 is sent whole to who has it already.
#
# Seen: 'If-None-Match: 304 ""', then without: '304 ""', '304 ""', 1 request at the origin; the plain client: '200 "hello"'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root \
    golang-github-gregjones-httpcache-dev=0.0~git20180305.9cad4c3-1.1 && dpkg -x ./*.deb .)
cat >"$folder/seen.go" <<'GO'
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"

	"github.com/gregjones/httpcache"
)

func main() {
	var asked int32
	origin := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		atomic.AddInt32(&asked, 1)
		answer.Header().Set("Cache-Control", "max-age=60")
		answer.Header().Set("ETag", `"1"`)
		if request.Header.Get("If-None-Match") == `"1"` {
			answer.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(answer, "hello")
	}))
	ask := func(client *http.Client, tag string) string {
		request, _ := http.NewRequest("GET", origin.URL, nil)
		if tag != "" {
			request.Header.Set("If-None-Match", tag)
		}
		answer, err := client.Do(request)
		if err != nil {
			panic(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return fmt.Sprintf("%d %q", answer.StatusCode, body)
	}
	cached := httpcache.NewMemoryCacheTransport().Client()
	seen := []string{ask(cached, `"1"`), ask(cached, ""), ask(cached, ""), fmt.Sprint(asked), ask(http.DefaultClient, "")}
	fmt.Println(seen)
	expected := []string{`304 ""`, `304 ""`, `304 ""`, "1", `200 "hello"`}
	for index := range expected {
		if seen[index] != expected[index] {
			os.Exit(1)
		}
	}
}
GO
GO111MODULE=off GOPATH="$folder/usr/share/gocode" GOCACHE="$folder/built" go run "$folder/seen.go"
echo "gregjones/httpcache: as described"
