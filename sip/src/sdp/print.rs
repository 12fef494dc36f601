//! A description to text, its lines in the order that RFC 8866 section 5 wants them in.

use std::{
    fmt::{self, Display, Formatter},
    net::IpAddr,
};

use super::{Attribute, Host, Media, Session, parse::place};

impl Display for Session {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { origin, name, connection, others, attributes, media } = self;
        write!(f, "v=0\r\no={} {} {} {}\r\ns={name}\r\n", origin.user, origin.id, origin.version, In(&origin.address))?;
        write_body(f, connection.as_ref(), others, attributes)?;
        media.iter().try_for_each(|media| media.fmt(f))
    }
}

impl Display for Media {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {}", self.kind, self.port)?;
        if let Some(ports) = self.ports {
            write!(f, "/{ports}")?;
        }
        write!(f, " {}", self.protocol)?;
        for format in &self.formats {
            write!(f, " {format}")?;
        }
        f.write_str("\r\n")?;
        write_body(f, self.connection.as_ref(), &self.others, &self.attributes)
    }
}

fn write_body(
    f: &mut Formatter<'_>,
    connection: Option<&Host>,
    others: &[(char, String)],
    attributes: &[Attribute],
) -> fmt::Result {
    let (before, after): (Vec<_>, Vec<_>) = others.iter().partition(|(letter, _)| place(*letter) == 0);
    for (letter, value) in before {
        write!(f, "{letter}={value}\r\n")?;
    }
    if let Some(connection) = connection {
        write!(f, "c={}\r\n", In(connection))?;
    }
    for (letter, value) in after {
        write!(f, "{letter}={value}\r\n")?;
    }
    for Attribute { name, value } in attributes {
        match value {
            Some(value) => write!(f, "a={name}:{value}\r\n")?,
            None => write!(f, "a={name}\r\n")?,
        }
    }
    Ok(())
}

/// A host as `o=` and `c=` say it.
pub(super) struct In<'a>(pub(super) &'a Host);

impl Display for In<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Host::Ip(IpAddr::V4(ip)) => write!(f, "IN IP4 {ip}"),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "IN IP6 {ip}"),
            Host::Name(name) => write!(f, "IN IP4 {name}"),
        }
    }
}
