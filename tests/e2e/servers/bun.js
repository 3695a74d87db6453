// Echo server on Bun. The commands it understands are listed in ../servers.py.

function push(ws, count) {
  for (let i = 0; i < count; i++) ws.send(`push ${i}`);
}

function onMessage(ws, message) {
  const [name, value] = typeof message === 'string' ? message.split(':') : [];
  if (name === 'ignore') return;
  if (name === 'exit') process.exit(0);
  if (name === 'close') return ws.close(Number(value));
  if (name === 'sleep') return setTimeout(() => ws.send(message), Number(value));
  ws.send(message);
  if (name === 'push') push(ws, Number(value));
  if (name === 'ping') ws.ping('beat');
}

Bun.serve({
  port: Number(process.env.PORT),
  hostname: process.env.HOST,
  async fetch(request, server) {
    const [, kind, value] = new URL(request.url).pathname.split('/');
    if (kind === 'refuse') return new Response('refused\n', { status: Number(value) });
    if (kind === 'slow') await Bun.sleep(Number(value));
    if (server.upgrade(request, { data: { pushes: kind === 'push' ? Number(value) : 0 } })) return undefined;
    return new Response('plain\n');
  },
  websocket: {
    open(ws) { push(ws, ws.data.pushes); },
    message: onMessage,
  },
});
