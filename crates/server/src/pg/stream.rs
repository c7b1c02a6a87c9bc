//! Bytes of one connection: [`Input`] cuts them into frames, [`Output`] gathers messages and sends them.
//!
//! Both can be dropped in the middle of a wait without losing or repeating a byte. Never looks into a frame.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use pgwire::messages::PgWireBackendMessage;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Longest start-up or password message, in bytes, as in PostgreSQL.
pub const STARTUP_BYTES: usize = 10_000;

/// Gathered bytes above which rows are sent on while a result is still being made.
const SEND_BYTES: usize = 64 << 10;

/// Why no frame can be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("message of {length} bytes is over the limit of {limit} bytes")]
    TooLarge { length: usize, limit: usize },
    #[error("invalid message length {0}")]
    Length(i32),
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// What the client sends.
pub struct Input {
    socket: OwnedReadHalf,
    buffer: BytesMut,
}

impl Input {
    pub fn new(socket: OwnedReadHalf) -> Input {
        Input { socket, buffer: BytesMut::new() }
    }

    /// Returns the body of a frame without a type, or None when the client has closed.
    pub async fn untyped_frame(&mut self) -> Result<Option<BytesMut>, FrameError> {
        Ok(self.cut(0, STARTUP_BYTES).await?.map(|(_, body)| body))
    }

    /// Returns type and body of the next frame, or None when the client has closed.
    pub async fn frame(&mut self, limit: usize) -> Result<Option<(u8, BytesMut)>, FrameError> {
        self.cut(1, limit).await
    }

    /// Returns whether the next frame has the type and is here already.
    pub fn next_is(&self, kind: u8) -> bool {
        self.buffer.first() == Some(&kind)
    }

    /// Returns when the client has closed its side, also while bytes of it are still unread.
    pub async fn closed(&self) {
        while let Ok(ready) = self.socket.ready(Interest::READABLE).await {
            if ready.is_read_closed() {
                return;
            }
            // Unread bytes keep the socket ready for ever, so the end of the stream can only be polled for.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn cut(&mut self, type_bytes: usize, limit: usize) -> Result<Option<(u8, BytesMut)>, FrameError> {
        loop {
            if let Some(head) = self.buffer.get(..type_bytes + 4) {
                let stated = i32::from_be_bytes(head[type_bytes..].try_into().expect("four bytes"));
                let length = usize::try_from(stated).ok().filter(|&n| n >= 4).ok_or(FrameError::Length(stated))?;
                if length > limit {
                    return Err(FrameError::TooLarge { length, limit });
                }
                if self.buffer.len() >= type_bytes + length {
                    let mut frame = self.buffer.split_to(type_bytes + length);
                    let kind = frame[0];
                    frame.advance(type_bytes + 4);
                    return Ok(Some((kind, frame)));
                }
            }
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// What the client is sent.
pub struct Output {
    socket: OwnedWriteHalf,
    buffer: BytesMut,
}

impl Output {
    pub fn new(socket: OwnedWriteHalf) -> Output {
        Output { socket, buffer: BytesMut::new() }
    }

    /// Adds a message to those that the next flush sends.
    pub fn put(&mut self, message: PgWireBackendMessage) -> io::Result<()> {
        message.encode(&mut self.buffer).map_err(io::Error::other)
    }

    /// Returns the gathered bytes, for messages that are written in place.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Sends what is gathered if it is much. Waits while the client does not read.
    pub async fn flush_if_full(&mut self) -> io::Result<()> {
        if self.buffer.len() >= SEND_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Sends everything gathered.
    pub async fn flush(&mut self) -> io::Result<()> {
        while self.buffer.has_remaining() {
            self.socket.write_buf(&mut self.buffer).await?;
        }
        Ok(())
    }
}
