// Clients of Go's: go.go CLIENT PORT put|get, prints JSON; run with gomemcache on its path.
package main

import (
	"encoding/json"
	"fmt"
	"io/ioutil"
	"os"
	"strings"

	"github.com/bradfitz/gomemcache/memcache"
)

func main() {
	cache := memcache.New("127.0.0.1:" + os.Args[2])
	found := map[string]string{}
	if os.Args[3] == "put" {
		samples := map[string]*memcache.Item{
			"'hello'": {Key: "c0", Value: []byte("hello")},
			"'42'":    {Key: "c1", Value: []byte("42")},
			"Flags 7": {Key: "c2", Value: []byte("x"), Flags: 7},
			"3000 x":  {Key: "c3", Value: []byte(strings.Repeat("x", 3000))},
		}
		for label, item := range samples {
			found[label] = item.Key
			if err := cache.Set(item); err != nil {
				found[label] = err.Error()
			}
		}
	} else {
		sent, _ := ioutil.ReadAll(os.Stdin)
		var names []string
		json.Unmarshal(sent, &names)
		for _, name := range names {
			item, err := cache.Get(name)
			if err != nil {
				found[name] = "exception " + err.Error()
				continue
			}
			found[name] = fmt.Sprintf("%.40q", item.Value)
		}
	}
	printed, _ := json.Marshal(found)
	fmt.Println(string(printed))
}
