//! HTTP/2 frame by frame, as a client speaks it that keeps to no limit.

use super::*;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const REFUSED_STREAM: u32 = 7;

struct Rude(TcpStream);

impl Rude {
    async fn connect(server: &Server) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut rude = Self(stream);
        rude.send(SETTINGS, 0, 0, &[]).await;
        rude
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.write_all(&[&head, payload].concat()).await.unwrap();
    }

    /// The next frame of a kind: its flags, stream and payload.
    async fn next(&mut self, kind: u8) -> (u8, u32, Vec<u8>) {
        loop {
            let mut head = [0; 9];
            within("a frame", self.0.read_exact(&mut head)).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            within("its payload", self.0.read_exact(&mut payload)).await.unwrap();
            if head[3] == kind {
                let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                return (head[4], stream, payload);
            }
        }
    }

    /// Begins a request whose body never comes.
    async fn begin(&mut self, stream: u32) {
        // POST, http, and as literals the path and the authority.
        let fields = [&[0x83, 0x86, 0x04, 7][..], b"/filter", &[0x01, 1], b"x"].concat();
        self.send(HEADERS, END_HEADERS, stream, &fields).await;
    }
}

#[tokio::test]
async fn streams_over_the_limit_are_refused_and_the_others_go_on() {
    let server = serve_extender(Limits { streams: 2, ..Limits::default() }).await;
    let mut rude = Rude::connect(&server).await;
    let (_, _, settings) = rude.next(SETTINGS).await;
    let announced = settings.chunks(6).find_map(|setting| {
        let id = u16::from_be_bytes([setting[0], setting[1]]);
        let value = u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
        (id == MAX_CONCURRENT_STREAMS).then_some(value)
    });
    assert_eq!(announced, Some(2));
    rude.send(SETTINGS, ACK, 0, &[]).await;
    for stream in [1, 3, 5] {
        rude.begin(stream).await;
    }
    let (_, stream, code) = rude.next(RST_STREAM).await;
    assert_eq!((stream, code), (5, REFUSED_STREAM.to_be_bytes().to_vec()));
    // The first one's body comes after all.
    let body = ASK.as_bytes();
    rude.send(0, 1, 1, body).await;
    let (_, stream, _) = rude.next(HEADERS).await;
    assert_eq!(stream, 1, "it is answered");
    assert_alive(&server).await;
}
