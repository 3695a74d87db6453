// Echo server on Node `ws`. The commands it understands are listed in ../servers.py.
const http = require('http');
const { WebSocketServer } = require('../node_modules/ws');

const server = http.createServer((request, response) => response.end('plain\n'));

function beforeUpgrade({ req }, done) {
  const [, kind, value] = req.url.split('/');
  if (kind === 'refuse') return done(false, Number(value));
  if (kind === 'slow') return setTimeout(done, Number(value), true);
  done(true);
}

// A timer that keeps the event loop busy, as a careless application does.
function stall(ws, ms) {
  const timer = setInterval(() => { const end = Date.now() + ms; while (Date.now() < end); }, 2.5 * ms);
  ws.on('close', () => clearInterval(timer));
}

function push(ws, count) {
  for (let i = 0; i < count; i++) ws.send(`push ${i}`);
}

function onMessage(ws, data, isBinary) {
  const [name, value] = isBinary ? [] : data.toString().split(':');
  if (name === 'ignore') return;
  if (name === 'exit') process.exit(0);
  if (name === 'close') return value ? ws.close(Number(value)) : ws.close();
  if (name === 'sleep') return setTimeout(() => ws.send(data, { binary: false }), Number(value));
  ws.send(data, { binary: isBinary });
  if (name === 'push') push(ws, Number(value));
  if (name === 'ping') ws.ping('beat');
  if (name === 'stall') stall(ws, Number(value));
}

new WebSocketServer({ server, verifyClient: beforeUpgrade, maxPayload: 0 }).on('connection', (ws, request) => {
  const [, kind, value] = request.url.split('/');
  ws.on('error', () => {});
  ws.on('message', (data, isBinary) => onMessage(ws, data, isBinary));
  if (kind === 'push') push(ws, Number(value));
});
server.listen(Number(process.env.PORT), process.env.HOST);
