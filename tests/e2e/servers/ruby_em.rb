# Echo server on em-websocket (EventMachine). The commands it understands are listed in ../servers.py.
require 'em-websocket'

def push(ws, count)
  count.times { |i| ws.send("push #{i}") }
end

def on_text(ws, message)
  name, value = message.bytesize < 32 ? message.split(':', 2) : []
  value or return ws.send(message)
  return if name == 'ignore'
  exit!(0) if name == 'exit'
  return value.empty? ? ws.close : ws.close(value.to_i) if name == 'close'
  return EM.add_timer(value.to_i / 1000.0) { ws.send(message) } if name == 'sleep'
  ws.send(message)
  push(ws, value.to_i) if name == 'push'
  ws.ping('beat') if name == 'ping'
end

EM::WebSocket.max_frame_size = 1 << 30
EM.run do
  EM::WebSocket.run(host: ENV['HOST'], port: ENV['PORT'].to_i) do |ws|
    ws.onopen do |handshake|
      kind, value = handshake.path[1..].split('/')
      push(ws, value.to_i) if kind == 'push'
    end
    ws.onmessage { |message, _type| on_text(ws, message) }
    ws.onbinary { |message| ws.send_binary(message) }
    ws.onerror { |_error| }
  end
end
