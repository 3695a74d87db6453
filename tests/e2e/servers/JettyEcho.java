// Echo server on Jetty 9. The commands it understands are listed in ../servers.py.
import java.nio.ByteBuffer;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;
import org.eclipse.jetty.websocket.api.Session;
import org.eclipse.jetty.websocket.api.StatusCode;
import org.eclipse.jetty.websocket.api.annotations.OnWebSocketConnect;
import org.eclipse.jetty.websocket.api.annotations.OnWebSocketError;
import org.eclipse.jetty.websocket.api.annotations.OnWebSocketMessage;
import org.eclipse.jetty.websocket.api.annotations.WebSocket;
import org.eclipse.jetty.websocket.servlet.WebSocketServlet;
import org.eclipse.jetty.websocket.servlet.WebSocketServletFactory;

public class JettyEcho {
  @WebSocket(maxTextMessageSize = 1 << 24, maxBinaryMessageSize = 1 << 24)
  public static class Echo {
    @OnWebSocketConnect
    public void connected(Session session) throws Exception {
      String[] path = session.getUpgradeRequest().getRequestURI().getPath().split("/");
      if (path.length == 3 && path[1].equals("push")) push(session, Integer.parseInt(path[2]));
    }

    private static void push(Session session, int count) throws Exception {
      for (int i = 0; i < count; i++) session.getRemote().sendString("push " + i);
    }

    @OnWebSocketMessage
    public void text(Session session, String message) throws Exception {
      String[] command = message.length() < 32 ? message.split(":", 2) : new String[0];
      String name = command.length == 2 ? command[0] : "";
      switch (name) {
        case "ignore":
          return;
        case "exit":
          Runtime.getRuntime().halt(0);
        case "close":
          session.close(command[1].isEmpty() ? StatusCode.NO_CODE : Integer.parseInt(command[1]), null);
          return;
        case "sleep":
          Thread.sleep(Integer.parseInt(command[1]));
      }
      session.getRemote().sendString(message);
      if (name.equals("push")) push(session, Integer.parseInt(command[1]));
      if (name.equals("ping")) session.getRemote().sendPing(ByteBuffer.wrap("beat".getBytes()));
    }

    @OnWebSocketMessage
    public void binary(Session session, byte[] message, int offset, int length) throws Exception {
      session.getRemote().sendBytes(ByteBuffer.wrap(message, offset, length));
    }

    @OnWebSocketError
    public void failed(Throwable cause) {}
  }

  public static class Servlet extends WebSocketServlet {
    @Override
    public void configure(WebSocketServletFactory factory) {
      factory.register(Echo.class);
    }

    @Override
    protected void service(HttpServletRequest request, HttpServletResponse response)
        throws javax.servlet.ServletException, java.io.IOException {
      String[] path = request.getRequestURI().split("/");
      if (path.length == 3 && path[1].equals("refuse")) {
        response.setStatus(Integer.parseInt(path[2]));
        return;
      }
      if (request.getHeader("Upgrade") == null) {
        response.getOutputStream().print("plain\n");
        return;
      }
      if (path.length == 3 && path[1].equals("slow")) {
        try {
          Thread.sleep(Integer.parseInt(path[2]));
        } catch (InterruptedException ended) {
          return;
        }
      }
      super.service(request, response);
    }
  }

  public static void main(String[] arguments) throws Exception {
    Server server = new Server();
    ServerConnector connector = new ServerConnector(server);
    connector.setHost(System.getenv("HOST"));
    connector.setPort(Integer.parseInt(System.getenv("PORT")));
    server.addConnector(connector);
    ServletContextHandler handler = new ServletContextHandler();
    handler.addServlet(new ServletHolder(new Servlet()), "/*");
    server.setHandler(handler);
    server.start();
    server.join();
  }
}
