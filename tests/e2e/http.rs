//! A client of HTTP/1.1 that can be as rude as a test needs it to be.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// No answer may take longer.
const LIMIT: Duration = Duration::from_secs(30);

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

pub async fn get(port: u16, path: &str) -> Result<Answer, String> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    exchange(port, head.as_bytes()).await
}

pub async fn post(port: u16, path: &str, body: &[u8]) -> Result<Answer, String> {
    post_claiming(port, path, body, body.len()).await
}

/// Posts a body, but says that it has `length` bytes.
pub async fn post_claiming(
    port: u16,
    path: &str,
    body: &[u8],
    length: usize,
) -> Result<Answer, String> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    exchange(port, &[head.as_bytes(), body].concat()).await
}

/// Sends these bytes, ends its own side, and reads until the other side ends.
pub async fn exchange(port: u16, request: &[u8]) -> Result<Answer, String> {
    let whole = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        // A server may answer and close before it has read everything (413): that is no failure.
        let sent = stream.write_all(request).await;
        if sent.is_ok() {
            stream.shutdown().await?;
        }
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer).await {
            Err(error) if answer.is_empty() => Err(error),
            _ => Ok(answer),
        }
    };
    match tokio::time::timeout(LIMIT, whole).await {
        Ok(Ok(bytes)) => parse(&bytes),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {LIMIT:?}")),
    }
}

fn parse(bytes: &[u8]) -> Result<Answer, String> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| format!("no head: {text:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("no status: {head:?}"))?;
    Ok(Answer { status, body: body.to_owned() })
}
