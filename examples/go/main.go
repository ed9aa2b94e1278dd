// Counts the words of each message: a handler in Go, with the standard library alone.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"
)

type counted struct {
	Words   int    `json:"words"`
	Bytes   int    `json:"bytes"`
	Session string `json:"session"`
	Attempt int    `json:"attempt"`
}

// message answers POST /message: 200 is done, 422 is never going to work, 5xx would be tried again.
func message(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "only POST /message is served here", http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "the message did not arrive whole: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	if !utf8.Valid(body) {
		http.Error(w, "the message is not UTF-8", http.StatusUnprocessableEntity)
		return
	}
	session, err := url.PathUnescape(r.Header.Get("Kubedaemon-Session"))
	if err != nil {
		http.Error(w, "the session is not percent-encoded: "+err.Error(), http.StatusUnprocessableEntity)
		return
	}
	attempt, err := strconv.Atoi(r.Header.Get("Kubedaemon-Attempt"))
	if err != nil {
		attempt = 1
	}
	result := counted{len(strings.Fields(string(body))), len(body), session, attempt}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(result); err != nil {
		log.Print("the answer could not be written: ", err)
	}
}

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/message", message)
	server := &http.Server{Addr: "127.0.0.1:" + port, Handler: mux}

	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	finished := make(chan error, 1)
	go func() {
		<-stop.Done()
		finished <- server.Shutdown(context.Background()) // running calls are answered first
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	if err := <-finished; err != nil {
		log.Fatal(err)
	}
}
