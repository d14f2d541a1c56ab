//! Bytes as Python shows them: `b'hello'`.

/// Adds bytes as Python's `repr` writes them: in single quotes, or in double ones where only single ones are within.
pub(super) fn write_repr(bytes: &[u8], out: &mut Vec<u8>) {
    let quote = match bytes.contains(&b'\'') && !bytes.contains(&b'"') {
        true => b'"',
        false => b'\'',
    };
    out.extend_from_slice(&[b'b', quote]);
    for &byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte if byte == quote => out.extend_from_slice(&[b'\\', quote]),
            b' '..=b'~' => out.push(byte),
            byte => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_python_does() {
        for (bytes, shown) in [
            (&b"hello"[..], "b'hello'"),
            (b"", "b''"),
            (b"it's", "b\"it's\""),
            (b"'\"", "b'\\'\"'"),
            (b"\"", "b'\"'"),
            (b"\\\n\r\t\0\x7f\xff ~", "b'\\\\\\n\\r\\t\\x00\\x7f\\xff ~'"),
        ] {
            let mut out = Vec::new();
            write_repr(bytes, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), shown);
        }
    }
}
