//! A subscriber that does not read: it costs a bounded amount of memory, and sees what it has lost.

use std::time::Duration;

use fermata_primitives::Slot;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::bench::Bench;
use crate::events::SequencerEvent;
use crate::feed::{News, Told};

/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(60);
/// More, by far, than the kernel and the server keep between them.
const NOTICES: u64 = 1_000;
const BYTES: usize = 32 * 1_024;

/// A WebSocket whose other end reads only when it is told to; a client library would read at once.
struct LazyReader(TcpStream);

impl LazyReader {
    async fn subscribed(bench: &Bench) -> Self {
        let mut stream = TcpStream::connect(bench.server.local_addr()).await.expect("connects");
        let upgrade = format!(
            "GET / HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            bench.token.expose()
        );
        stream.write_all(upgrade.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.expect("an answer"));
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
        let mut reader = Self(stream);
        reader.call(&json!({ "jsonrpc": "2.0", "id": 1, "method": "admin_subscribe", "params": ["checkpoint"] })).await;
        assert_eq!(reader.next().await["id"], 1);
        reader
    }

    /// A text frame of fewer than 126 bytes, with the mask zero.
    async fn call(&mut self, call: &Value) {
        let text = call.to_string();
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).expect("a short call");
        let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat();
        self.0.write_all(&frame).await.expect("written");
    }

    /// The next text frame.
    async fn next(&mut self) -> Value {
        let stream = &mut self.0;
        let kind = stream.read_u8().await.expect("a frame");
        assert_eq!(kind, 0x81, "a whole text");
        let length = match stream.read_u8().await.expect("a length") {
            126 => u64::from(stream.read_u16().await.expect("a length")),
            127 => stream.read_u64().await.expect("a length"),
            short => u64::from(short),
        };
        let mut text = vec![0; usize::try_from(length).expect("it fits")];
        stream.read_exact(&mut text).await.expect("a text");
        serde_json::from_slice(&text).expect("JSON")
    }
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_loses_the_oldest_sees_the_gap_and_hears_the_newest() {
    let bench = Bench::new().await;
    let mut reader = LazyReader::subscribed(&bench).await;
    for slot in 0..NOTICES {
        let event = SequencerEvent::SlotMissed { slot: Slot(slot), reason: "x".repeat(BYTES) };
        bench.news.send(Told::News(News::Checkpoint(event))).expect("the server listens");
        tokio::task::yield_now().await;
    }
    let reading = async {
        let (mut last, mut gaps) = (0, 0);
        while last < NOTICES {
            let seq = reader.next().await["params"]["result"]["seq"].as_u64().expect("a number");
            assert!(seq > last, "in order");
            gaps += u64::from(seq != last + 1);
            last = seq;
        }
        gaps
    };
    let gaps = timeout(PATIENCE, reading).await.expect("in time");
    assert!(gaps > 0, "something was lost, and the numbers tell");
    bench.end().await;
}
