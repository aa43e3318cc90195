// opensearch-js: writes and asks as the README does, and prints one line of JSON.
'use strict'

const { Client } = require('@opensearch-project/opensearch')

const question = { multi_match: { query: 'why do cats make noises', fields: ['title^2', 'abstract'] } }
const recent = { bool: { must: question, filter: { range: { year: { gte: 2002 } } } } }
const documents = [
  { title: 'Felines purr', abstract: 'A kitten sounds like this when it is content', year: 2001 },
  { title: 'Dogs bark', abstract: 'A hound warns strangers', year: 2002 },
  { title: 'Interest rates', abstract: 'The central bank raised them to fight inflation', year: 2003 }
]
const titles = (body) => body.hits.hits.map((hit) => hit._source.title)
const fields = (source) => Object.keys(source).sort()

async function main (node, index) {
  const client = new Client({ node })
  const written = await client.helpers.bulk({
    datasource: documents.map((document, n) => ({ id: String(n), document })),
    onDocument: ({ id, document }) => [{ index: { _index: index, _id: id } }, document],
    refreshOnCompletion: index
  })
  const search = async (body) => (await client.search({ index, body })).body
  const years = { years: { terms: { field: 'year' } } }
  const two = await search({ query: question, size: 2 })
  const counted = await search({ query: question, size: 1, aggs: years })
  const several = await client.msearch({
    body: [{ index }, { query: question, size: 1 }, { index }, { query: recent, size: 1 }]
  })
  const document = await client.get({ index, id: '0' })
  console.log(JSON.stringify({
    bulk_failed: written.failed > 0,
    question: titles(two),
    filtered: titles(await search({ query: recent, size: 1 })),
    counted: titles(counted),
    years: counted.aggregations.years.buckets.map((bucket) => bucket.key),
    several: several.body.responses.map(titles),
    hit: fields(two.hits.hits[0]._source),
    document: fields(document.body._source)
  }))
  await client.close()
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error)
  process.exitCode = 1
})
