#!/bin/sh
# gregjones/httpcache (Go, 2018-03-05 as in Debian 12): after a PUT, POST or DELETE of one's own the old answer is still a hit.
#
# The library has a line for it ("Need to invalidate an existing value"), but what it deletes is the key "PUT URL",
# under which nothing ever is; answers to GET lie under "URL". So a program that has changed something, and been told 200
# or 204, reads it back as it was, or finds what it deleted, until the lifetime is over. An answer other than an error
# to such a method ends what is stored for the URL (RFC 9111, section 4.4).
#
# Seen: 'GET 200 1, PUT 200, GET 200 1', 'GET 200 1, POST 200, GET 200 1', 'GET 200 1, DELETE 204, GET 200 1', where a plain
# client has 2, 2 and 404.
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
	"strings"
	"sync"

	"github.com/gregjones/httpcache"
)

func main() {
	var lock sync.Mutex
	versions := map[string]int{}
	origin := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		lock.Lock()
		defer lock.Unlock()
		switch request.Method {
		case "GET":
			if versions[request.URL.Path] < 0 {
				answer.WriteHeader(http.StatusNotFound)
				return
			}
			answer.Header().Set("Cache-Control", "max-age=60")
			fmt.Fprint(answer, versions[request.URL.Path]+1)
		case "DELETE":
			versions[request.URL.Path] = -1
			answer.WriteHeader(http.StatusNoContent)
		default:
			versions[request.URL.Path]++
		}
	}))
	ask := func(client *http.Client, method, path string) string {
		request, _ := http.NewRequest(method, origin.URL+path, strings.NewReader(""))
		answer, err := client.Do(request)
		if err != nil {
			panic(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return strings.TrimSpace(fmt.Sprintf("%s %d %s", method, answer.StatusCode, body))
	}
	cached := httpcache.NewMemoryCacheTransport().Client()
	plain := map[string]string{"PUT": "GET 200 2", "POST": "GET 200 2", "DELETE": "GET 404"}
	for _, method := range []string{"PUT", "POST", "DELETE"} {
		before := ask(cached, "GET", "/"+method)
		change := ask(cached, method, "/"+method)
		after := ask(cached, "GET", "/"+method)
		truth := ask(http.DefaultClient, "GET", "/"+method)
		fmt.Printf("%s, %s, %s; a plain client: %s\n", before, change, after, truth)
		if before != "GET 200 1" || after != "GET 200 1" || truth != plain[method] {
			os.Exit(1)
		}
	}
}
GO
GO111MODULE=off GOPATH="$folder/usr/share/gocode" GOCACHE="$folder/built" go run "$folder/seen.go"
echo "gregjones/httpcache: as described"
