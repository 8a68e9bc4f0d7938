//! The line index beside a log: 16 bytes a line, little-endian.
//!
//! ```text
//! bytes 0..8    offset of the line's first byte in the log
//! bytes 8..14   milliseconds between the start of the run and that byte
//! byte  14      stream: 0 out, 1 err, 2 notice
//! byte  15      zero
//! ```
//! A line ends at its line break, at the next line's offset, or at the end of the log. The log is written
//! before the index, so an index never points beyond the log.

use domain::log::Stream;

/// Bytes of one record.
pub(super) const RECORD: usize = 16;

/// Offset, time and stream of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) offset: u64,
    pub(super) at_ms: u64,
    pub(super) stream: Stream,
}

impl Record {
    pub(super) fn to_bytes(self) -> [u8; RECORD] {
        let stream = match self.stream {
            Stream::Out => 0_u128,
            Stream::Err => 1,
            Stream::Notice => 2,
        };
        let at = u128::from(self.at_ms.min((1 << 48) - 1));
        (u128::from(self.offset) | at << 64 | stream << 112).to_le_bytes()
    }

    pub(super) fn from_bytes(bytes: [u8; RECORD]) -> Self {
        let all = u128::from_le_bytes(bytes);
        let [.., stream, _] = bytes;
        Self {
            offset: u64::try_from(all & u128::from(u64::MAX)).unwrap_or(u64::MAX),
            at_ms: u64::try_from((all >> 64) & ((1 << 48) - 1)).unwrap_or(u64::MAX),
            stream: match stream {
                0 => Stream::Out,
                1 => Stream::Err,
                _ => Stream::Notice,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_decoded_as_it_was_encoded() {
        for stream in [Stream::Out, Stream::Err, Stream::Notice] {
            let record = Record { offset: u64::MAX - 3, at_ms: (1 << 48) - 2, stream };
            assert_eq!(Record::from_bytes(record.to_bytes()), record);
        }
    }
}
