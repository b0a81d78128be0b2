// The composition of `benches/compositions` by hand in Node: `node aggregate.cjs HOST:PORT BASE`, with undici.
const http = require('node:http');
const { Pool } = require('undici');

const [listen, base] = process.argv.slice(2);
const [host, port] = listen.split(':');
const upstream = new Pool(base, { connections: 128 });

async function call(path, body) {
  const answer = await upstream.request({
    path,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (answer.statusCode !== 200) throw new Error(`${path}: ${answer.statusCode}`);
  return answer.body.json();
}

async function insights(asked) {
  const heard = await call('/heard', { call: asked.call });
  const text = { text: heard.text, language: heard.language };
  const [mood, people] = await Promise.all([call('/mood', text), call('/people', text)]);
  return {
    text: heard.text,
    mood: mood.label,
    score: mood.score,
    people: people.entities.map((entity) => entity.name),
    english: heard.language === 'en',
  };
}

http
  .createServer((request, response) => {
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', async () => {
      let status = 200;
      let body;
      try {
        body = JSON.stringify(await insights(JSON.parse(Buffer.concat(pieces))));
      } catch (error) {
        [status, body] = [502, JSON.stringify({ detail: String(error) })];
      }
      response.writeHead(status, {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      });
      response.end(body);
    });
  })
  .listen(Number(port), host);
