// opensearch-go: writes and asks as the README does, and prints one line of JSON.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opensearch-project/opensearch-go/v4"
	"github.com/opensearch-project/opensearch-go/v4/opensearchapi"
	"github.com/opensearch-project/opensearch-go/v4/opensearchutil"
)

type object = map[string]any

var question = object{"multi_match": object{
	"query": "why do cats make noises", "fields": []string{"title^2", "abstract"},
}}

var recent = object{"bool": object{
	"must": question, "filter": object{"range": object{"year": object{"gte": 2002}}},
}}

var documents = []object{
	{"title": "Felines purr", "abstract": "A kitten sounds like this when it is content", "year": 2001},
	{"title": "Dogs bark", "abstract": "A hound warns strangers", "year": 2002},
	{"title": "Interest rates", "abstract": "The central bank raised them to fight inflation", "year": 2003},
}

func main() {
	answers, err := run(context.Background(), os.Args[1], os.Args[2])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(answers)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, index string) (object, error) {
	client, err := opensearchapi.NewClient(opensearchapi.Config{Client: opensearch.Config{Addresses: []string{url}}})
	if err != nil {
		return nil, err
	}
	failed, err := write(ctx, client, index)
	if err != nil {
		return nil, err
	}

	search := func(body object) (*opensearchapi.SearchResp, error) {
		return client.Search(ctx, &opensearchapi.SearchReq{Indices: []string{index}, Body: lines(body)})
	}
	two, err := search(object{"query": question, "size": 2})
	if err != nil {
		return nil, err
	}
	filtered, err := search(object{"query": recent, "size": 1})
	if err != nil {
		return nil, err
	}
	years := object{"years": object{"terms": object{"field": "year"}}}
	counted, err := search(object{"query": question, "size": 1, "aggs": years})
	if err != nil {
		return nil, err
	}
	var aggregations struct {
		Years struct {
			Buckets []struct{ Key int }
		}
	}
	if err := json.Unmarshal(counted.Aggregations, &aggregations); err != nil {
		return nil, err
	}
	keys := []int{}
	for _, bucket := range aggregations.Years.Buckets {
		keys = append(keys, bucket.Key)
	}
	in := object{"index": index}
	both, err := client.MSearch(ctx, opensearchapi.MSearchReq{
		Body: lines(in, object{"query": question, "size": 1}, in, object{"query": recent, "size": 1}),
	})
	if err != nil {
		return nil, err
	}
	several := [][]any{}
	for _, response := range both.Responses {
		several = append(several, titles(response.Hits.Hits))
	}
	document, err := client.Document.Get(ctx, opensearchapi.DocumentGetReq{Index: index, DocumentID: "0"})
	if err != nil {
		return nil, err
	}
	return object{
		"bulk_failed": failed > 0,
		"question":    titles(two.Hits.Hits),
		"filtered":    titles(filtered.Hits.Hits),
		"counted":     titles(counted.Hits.Hits),
		"years":       keys,
		"several":     several,
		"hit":         fields(two.Hits.Hits[0].Source),
		"document":    fields(document.Source),
	}, nil
}

func write(ctx context.Context, client *opensearchapi.Client, index string) (uint64, error) {
	indexer, err := opensearchutil.NewBulkIndexer(opensearchutil.BulkIndexerConfig{
		Client: client, Index: index, Refresh: "true",
	})
	if err != nil {
		return 0, err
	}
	for n, document := range documents {
		item := opensearchutil.BulkIndexerItem{
			Action: "index", DocumentID: strconv.Itoa(n), Body: bytes.NewReader(encoded(document)),
		}
		if err := indexer.Add(ctx, item); err != nil {
			return 0, err
		}
	}
	err = indexer.Close(ctx)
	return indexer.Stats().NumFailed, err
}

func encoded(value object) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // of a value in this file
	}
	return text
}

func lines(values ...object) *strings.Reader {
	var text strings.Builder
	for _, value := range values {
		text.Write(encoded(value))
		text.WriteByte('\n')
	}
	return strings.NewReader(text.String())
}

func source(raw json.RawMessage) object {
	var found object
	if err := json.Unmarshal(raw, &found); err != nil {
		return object{}
	}
	return found
}

func titles(hits []opensearchapi.SearchHit) []any {
	found := []any{}
	for _, hit := range hits {
		found = append(found, source(hit.Source)["title"])
	}
	return found
}

func fields(raw json.RawMessage) []string {
	return slices.Sorted(maps.Keys(source(raw)))
}
