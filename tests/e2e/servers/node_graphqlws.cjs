// GraphQL over WebSocket, protocol graphql-transport-ws.
const http = require('http');
const { buildSchema } = require('../node_modules/graphql');
const { useServer } = require('../node_modules/graphql-ws/dist/use/ws.cjs');
const { WebSocketServer } = require('../node_modules/ws');

const schema = buildSchema(`
  type Query { echo(text: String!): String! }
  type Subscription { count(to: Int!): Int! }
`);
const roots = {
  query: { echo: ({ text }) => text },
  subscription: {
    count: async function* ({ to }) { for (let i = 0; i < to; i++) yield { count: i }; },
  },
};

const server = http.createServer((request, response) => response.end('plain\n'));
useServer({ schema, roots }, new WebSocketServer({ server, path: '/' }));
server.listen(Number(process.env.PORT), process.env.HOST);
