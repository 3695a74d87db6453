// Socket.IO server: sends the events `m` back, acknowledges those that ask for it, and pushes on `push`.
const http = require('http');
const { Server } = require('../node_modules/socket.io');

const server = http.createServer((request, response) => response.end('plain\n'));
// No ping while a test runs: when it would come is nobody's choice.
new Server(server, { pingInterval: 3600e3, maxHttpBufferSize: 1 << 24 }).on('connection', socket => {
  socket.on('m', (data, acknowledge) => (acknowledge ? acknowledge(data) : socket.emit('m', data)));
  socket.on('push', count => { for (let i = 0; i < count; i++) socket.emit('p', i); });
  socket.on('leave', () => socket.disconnect(true));
});
server.listen(Number(process.env.PORT), process.env.HOST);
