// Echo server on gorilla/websocket. The commands it understands are listed in ../servers.py.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}

func push(c *websocket.Conn, value string) {
	count, _ := strconv.Atoi(value)
	for i := 0; i < count; i++ {
		c.WriteMessage(websocket.TextMessage, []byte(fmt.Sprintf("push %d", i)))
	}
}

// closeWith starts the closing handshake and reads until the client has answered it.
func closeWith(c *websocket.Conn, value string) {
	code, err := strconv.Atoi(value)
	if err != nil {
		code = websocket.CloseNoStatusReceived // FormatCloseMessage makes an empty body of it
	}
	c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second))
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			return
		}
	}
}

func serve(c *websocket.Conn) {
	for {
		kind, message, err := c.ReadMessage()
		if err != nil {
			return
		}
		name, value := "", ""
		if kind == websocket.TextMessage {
			name, value, _ = strings.Cut(string(message), ":")
		}
		switch name {
		case "ignore":
			continue
		case "exit":
			os.Exit(0)
		case "close":
			closeWith(c, value)
			return
		case "sleep":
			ms, _ := strconv.Atoi(value)
			time.Sleep(time.Duration(ms) * time.Millisecond)
		}
		if c.WriteMessage(kind, message) != nil {
			return
		}
		switch name {
		case "push":
			push(c, value)
		case "ping":
			c.WriteControl(websocket.PingMessage, []byte("beat"), time.Now().Add(time.Second))
		}
	}
}

func handle(w http.ResponseWriter, r *http.Request) {
	kind, value, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/")
	number, _ := strconv.Atoi(value)
	if kind == "refuse" {
		http.Error(w, "refused", number)
		return
	}
	if !websocket.IsWebSocketUpgrade(r) {
		fmt.Fprintln(w, "plain")
		return
	}
	if kind == "slow" {
		time.Sleep(time.Duration(number) * time.Millisecond)
	}
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	if kind == "push" {
		push(c, value)
	}
	serve(c)
}

func main() {
	http.HandleFunc("/", handle)
	panic(http.ListenAndServe(net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")), nil))
}
