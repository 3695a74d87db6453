// Echo server on Boost.Beast, a blocking thread a connection. The commands it understands are listed in ../servers.py.
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using boost::asio::ip::tcp;

// "/push/3" is {"push", "3"}; so is "push:3" with ':'.
static std::pair<std::string, std::string> cut(const std::string &text, char at)
{
	auto end = text.find(at);
	return end == std::string::npos ? std::make_pair(text, std::string())
					: std::make_pair(text.substr(0, end), text.substr(end + 1));
}

static void pause(const std::string &milliseconds)
{
	std::this_thread::sleep_for(std::chrono::milliseconds(atoi(milliseconds.c_str())));
}

static void push(websocket::stream<tcp::socket> &ws, int count)
{
	for (int i = 0; i < count; i++) {
		ws.text(true);
		ws.write(boost::asio::buffer("push " + std::to_string(i)));
	}
}

static void messages(websocket::stream<tcp::socket> &ws)
{
	for (;;) {
		beast::flat_buffer buffer;
		std::string name, value;

		ws.read(buffer);
		bool text = ws.got_text();
		auto message = beast::buffers_to_string(buffer.data());
		if (text && message.size() < 32 && message.find(':') != std::string::npos)
			std::tie(name, value) = cut(message, ':');
		if (name == "ignore")
			continue;
		if (name == "exit")
			_exit(0);
		if (name == "close") {
			ws.close(value.empty() ? websocket::close_code::none
					       : websocket::close_code(atoi(value.c_str())));
			return;
		}
		if (name == "sleep")
			pause(value);
		ws.text(text);
		ws.write(buffer.data());
		if (name == "push")
			push(ws, atoi(value.c_str()));
		if (name == "ping")
			ws.ping("beat");
	}
}

static void answer(tcp::socket &socket, const http::request<http::string_body> &request,
		   unsigned status, const char *text)
{
	http::response<http::string_body> response{http::status(status), request.version()};

	response.body() = text;
	response.keep_alive(request.keep_alive());
	response.prepare_payload();
	http::write(socket, response);
}

static void serve(tcp::socket socket)
{
	beast::flat_buffer buffer;

	socket.set_option(tcp::no_delay(true));
	for (;;) {
		http::request<http::string_body> request;

		http::read(socket, buffer, request);
		auto [kind, value] = cut(std::string(request.target()).substr(1), '/');
		if (kind == "refuse") {
			answer(socket, request, (unsigned)atoi(value.c_str()), "refused\n");
			continue;
		}
		if (!websocket::is_upgrade(request)) {
			answer(socket, request, 200, "plain\n");
			continue;
		}
		if (kind == "slow")
			pause(value);
		websocket::stream<tcp::socket> ws(std::move(socket));
		ws.read_message_max(0);
		ws.accept(request);
		if (kind == "push")
			push(ws, atoi(value.c_str()));
		messages(ws);
		return;
	}
}

int main()
{
	boost::asio::io_context io;
	tcp::acceptor acceptor(io, {boost::asio::ip::make_address(getenv("HOST")),
				    (unsigned short)atoi(getenv("PORT"))});

	for (;;) {
		tcp::socket socket(io);
		acceptor.accept(socket);
		std::thread([socket = std::move(socket)]() mutable {
			try {
				serve(std::move(socket));
			} catch (const beast::system_error &) {
			}
		}).detach();
	}
}
