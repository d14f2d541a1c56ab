//! WebSocket, by its rules and against another implementation of them.

#[path = "websocket/cases.rs"]
mod cases;
#[path = "websocket/echo.rs"]
mod echo;
#[path = "websocket/oracle.rs"]
mod oracle;
