//! Who calls, and what they may do.

use tonic::{Request, Status};

/// What a token allows. An admin may do everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Ingest,
    Care,
    Operator,
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Care, Self::Operator, Self::Admin];

    /// Name in the database and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Care => "care",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// The holder of the token of a call; put into the request's extensions by the authentication layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Name of the token.
    pub name: String,
    pub role: Role,
}

/// The caller, if it has one of the roles (or is an admin).
pub fn require<T>(request: &Request<T>, allowed: &[Role]) -> Result<Caller, Box<Status>> {
    let caller = request.extensions().get::<Caller>().ok_or_else(|| {
        Box::new(Status::unauthenticated(
            "send `authorization: Bearer <token>`",
        ))
    })?;
    if caller.role == Role::Admin || allowed.contains(&caller.role) {
        return Ok(caller.clone());
    }
    let names: Vec<_> = allowed.iter().map(|role| role.as_str()).collect();
    Err(Box::new(Status::permission_denied(format!(
        "role `{}` may not do this; it takes one of: {}, admin",
        caller.role.as_str(),
        names.join(", ")
    ))))
}
