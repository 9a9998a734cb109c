//! A frame: written once, and shared by everyone who gets it.

use std::ops::Range;

use bytes::Bytes;

/// Most bytes of the head of a WebSocket frame that a server sends.
const HEAD: usize = 10;
const CONTROL: &str = "control";

/// A frame, serialised once and shared by everyone who gets it.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: &'static str,
    /// As it goes over a WebSocket, its head before its text.
    wire: Bytes,
    /// Where the text begins.
    text: usize,
    cursor: Range<usize>,
    data: Range<usize>,
}

impl Frame {
    /// A frame of JSON parts. `id` and `data` are JSON texts, `cursor` needs no escaping.
    #[must_use]
    pub fn new(kind: &'static str, id: Option<&str>, cursor: Option<&str>, data: &(impl AsRef<[u8]> + ?Sized)) -> Self {
        let data = data.as_ref();
        let mut wire = Vec::with_capacity(HEAD + data.len() + 128);
        wire.extend([0; HEAD]);
        // Where a part has come to lie.
        let mut write = |part: &[u8]| {
            wire.extend_from_slice(part);
            wire.len() - part.len()
        };
        write(br#"{"type":""#);
        write(kind.as_bytes());
        write(b"\"");
        if let Some(id) = id {
            write(br#","id":"#);
            write(id.as_bytes());
        }
        let mut cursor_at = 0..0;
        if let Some(cursor) = cursor {
            write(br#","cursor":""#);
            let at = write(cursor.as_bytes());
            cursor_at = at..at + cursor.len();
            write(b"\"");
        }
        write(br#","data":"#);
        let data_at = write(data);
        write(b"}");
        let begin = write_head(&mut wire);
        let wire = Bytes::from(wire).slice(begin..);
        let cursor = cursor_at.start.saturating_sub(begin)..cursor_at.end.saturating_sub(begin);
        let data = data_at - begin..wire.len() - 1;
        Self { kind, wire, text: HEAD - begin, cursor, data }
    }

    /// What the WebSocket says of itself: a pong, or its close.
    #[must_use]
    pub fn control(wire: Bytes) -> Self {
        Self { kind: CONTROL, text: 0, cursor: 0..0, data: 0..0, wire }
    }

    /// Whether it is of the WebSocket itself.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.kind == CONTROL
    }

    /// Bytes of the whole frame, as JSON.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no frame is empty")]
    pub fn len(&self) -> usize {
        self.wire.len() - self.text
    }

    /// The frame as a WebSocket sends it: RFC 6455, one text frame, not masked.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// The whole frame as JSON.
    #[must_use]
    pub fn text(&self) -> Bytes {
        self.wire.slice(self.text..)
    }

    /// The frame's cursor, where it has one.
    #[must_use]
    pub fn cursor(&self) -> Option<Bytes> {
        (!self.cursor.is_empty()).then(|| self.wire.slice(self.cursor.clone()))
    }

    /// The frame's data as JSON.
    #[must_use]
    pub fn data(&self) -> Bytes {
        self.wire.slice(self.data.clone())
    }
}

/// Writes the head of a text frame (RFC 6455 §5.2) right before the text, and tells where it begins.
fn write_head(wire: &mut [u8]) -> usize {
    const WHOLE_TEXT: u8 = 0x81;
    let length = wire.len() - HEAD;
    let (begin, short) = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..=125), _) => (HEAD - 2, length),
        (_, Ok(length)) => {
            wire[HEAD - 2..HEAD].copy_from_slice(&length.to_be_bytes());
            (HEAD - 4, 126)
        }
        _ => {
            wire[HEAD - 8..HEAD].copy_from_slice(&(length as u64).to_be_bytes());
            (HEAD - 10, 127)
        }
    };
    wire[begin..begin + 2].copy_from_slice(&[WHOLE_TEXT, short]);
    begin
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

    use super::*;

    #[test]
    fn a_frame_shows_its_parts() {
        let frame = Frame::new("change", None, Some("1ab"), r#"{"topic":"t"}"#);
        assert_eq!(frame.text(), r#"{"type":"change","cursor":"1ab","data":{"topic":"t"}}"#);
        assert_eq!(frame.cursor().as_deref(), Some(b"1ab".as_slice()));
        assert_eq!(frame.data(), r#"{"topic":"t"}"#);
        let reply = Frame::new("reply", Some(r#""7""#), None, "{}");
        assert_eq!(reply.text(), r#"{"type":"reply","id":"7","data":{}}"#);
        assert_eq!(reply.cursor(), None);
    }

    #[test]
    fn a_frame_of_any_length_has_its_head() {
        for length in [0, 80, 94, 95, 96, 97, 98, 99, 300, 65_500, 65_510, 65_520, 65_535, 65_536, 70_000] {
            let data = format!("\"{}\"", "x".repeat(length));
            let frame = Frame::new("change", None, None, &data);
            let mut head = Vec::new();
            let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
            header.format(frame.len() as u64, &mut head).expect("room for it");
            assert_eq!(frame.wire(), [head.as_slice(), &frame.text()].concat(), "{length}");
            assert_eq!(frame.data(), data);
        }
    }
}
