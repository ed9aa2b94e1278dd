//! Counts the words of each message: a handler in Rust, with the standard library alone.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::io::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const HEAD_BYTES: u64 = 64 * 1024;

/// What this handler is for: a result, or why the message is never going to work.
fn count(request: &Request) -> Result<String, String> {
    let text = std::str::from_utf8(&request.body).map_err(|error| format!("the message is not UTF-8: {error}\n"))?;
    let session = request.header("kubedaemon-session").unwrap_or("");
    let session = unquoted(session).ok_or_else(|| "the session is not percent-encoded UTF-8\n".to_string())?;
    let attempt: u32 = request.header("kubedaemon-attempt").and_then(|value| value.parse().ok()).unwrap_or(1);
    let (words, bytes, session) = (text.split_whitespace().count(), text.len(), json(&session));
    Ok(format!(r#"{{"words":{words},"bytes":{bytes},"session":{session},"attempt":{attempt}}}"#))
}

/// 200 is done, 422 is never going to work, 5xx would be tried again.
fn answer(request: &Request) -> (&'static str, &'static str, String) {
    if request.line != "POST /message" {
        return ("404 Not Found", "text/plain", "only POST /message is served here\n".to_string());
    }
    match count(request) {
        Ok(result) => ("200 OK", "application/json", result),
        Err(reason) => ("422 Unprocessable Entity", "text/plain", reason),
    }
}

/// The text that was percent-encoded.
fn unquoted(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let high = (rest.next()? as char).to_digit(16)?;
                let low = (rest.next()? as char).to_digit(16)?;
                (high * 16 + low) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A string of JSON.
fn json(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out + "\""
}

struct Request {
    line: String, // method and path
    headers: HashMap<String, String>,
    body: Vec<u8>,
    last: bool, // on this connection
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_string())
}

/// The next request whole; half a message is none. `InvalidData` is what HTTP/1.1 allows and this handler does not read.
fn read(reader: &mut BufReader<&TcpStream>) -> io::Result<Request> {
    let mut head = reader.by_ref().take(HEAD_BYTES);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        head.read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(invalid("the head is cut off, or longer than 64 KiB"));
        }
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_string()),
        }
    }
    let mut lines = lines.into_iter();
    let first = lines.next().ok_or_else(|| invalid("there is no request line"))?;
    let (line, version) = first.rsplit_once(' ').ok_or_else(|| invalid("this is no request line"))?;
    let mut headers = HashMap::new();
    for text in lines {
        let (name, value) = text.split_once(':').ok_or_else(|| invalid("a header has no colon"))?;
        headers.insert(name.to_ascii_lowercase(), value.trim().to_string());
    }
    if headers.contains_key("transfer-encoding") {
        return Err(invalid("send a Content-Length: chunks are not read here"));
    }
    let length = match headers.get("content-length") {
        Some(value) => value.parse().map_err(|_| invalid("Content-Length is no number"))?,
        None => 0,
    };
    if headers.get("expect").map_or(false, |value| value.eq_ignore_ascii_case("100-continue")) {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = Vec::new();
    if reader.by_ref().take(length).read_to_end(&mut body)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let close = headers.get("connection").map_or(false, |value| value.eq_ignore_ascii_case("close"));
    Ok(Request { line: line.to_string(), headers, body, last: close || version != "HTTP/1.1" })
}

/// Head and body in one write, so that neither waits for the other to be acknowledged.
fn write(mut stream: &TcpStream, status: &str, kind: &str, body: &str, last: bool) -> io::Result<()> {
    let length = body.len();
    let close = if last { "Connection: close\r\n" } else { "" };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{close}\r\n");
    stream.write_all((head + body).as_bytes())
}

/// The connections that wait for a request; `None` once the program stops.
type Idle = Mutex<Option<HashMap<i32, Arc<TcpStream>>>>;

/// One connection, kept open between messages.
fn serve(stream: Arc<TcpStream>, idle: &Idle) -> io::Result<()> {
    let number = stream.as_raw_fd();
    let mut reader = BufReader::new(&*stream);
    loop {
        match idle.lock().unwrap().as_mut() {
            Some(waiting) => waiting.insert(number, Arc::clone(&stream)),
            None => return Ok(()),
        };
        let arrived = reader.fill_buf().map(|bytes| !bytes.is_empty());
        let stopping = match idle.lock().unwrap().as_mut() {
            Some(waiting) => waiting.remove(&number).is_none(),
            None => true, // what had arrived is answered still
        };
        if !arrived? {
            return Ok(());
        }
        match read(&mut reader) {
            Ok(request) => {
                let (status, kind, body) = answer(&request);
                let last = request.last || stopping;
                write(&stream, status, kind, &body, last)?;
                if last {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return write(&stream, "400 Bad Request", "text/plain", &format!("{error}\n"), true);
            }
            Err(error) => return Err(error),
        }
    }
}

extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn shutdown(socket: i32, how: i32) -> i32;
}
static LISTENER: AtomicI32 = AtomicI32::new(-1);

/// Ends `accept`: one of the few calls that a signal handler may make.
extern "C" fn stop(_: i32) {
    unsafe { shutdown(LISTENER.load(Ordering::SeqCst), 0) };
}

fn main() -> io::Result<()> {
    let port = std::env::var("PORT").unwrap_or_else(|_| "8080".to_string());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    LISTENER.store(listener.as_raw_fd(), Ordering::SeqCst);
    for number in [2, 15] {
        unsafe { signal(number, stop) }; // SIGINT, SIGTERM
    }
    let idle: Idle = Mutex::new(Some(HashMap::new()));
    thread::scope(|connections| {
        for stream in listener.incoming() {
            match stream {
                Ok(stream) => {
                    let idle = &idle;
                    connections.spawn(move || serve(Arc::new(stream), idle)); // a caller that goes away is no error
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => break, // no longer a listener: stop
                Err(_) => thread::sleep(Duration::from_millis(10)), // that one caller went away, or too many are there
            }
        }
        for stream in idle.lock().unwrap().take().unwrap().values() {
            let _ = stream.shutdown(Shutdown::Read); // it reads its end; the others are answered first
        }
    });
    Ok(())
}
