//! How does a text become an expression?
//!
//! By precedence climbing. From the weakest: `||`, `&&`, `!`, comparisons (of which two must not follow each other), `+ -`,
//! `* / %`, `^` (to the right). `!` reaches as far as a comparison: `!@a == 1` is `!(@a == 1)`.

use crate::expression::lexer::{Lexer, Span, Token};
use crate::expression::{
    Call, Comparison, DEPTH_MAX, Error, Expression, Operator, Property, TEXT_BYTES_MAX, functions,
};

/// Reads a whole text.
pub(super) fn parse(text: &[u8]) -> Result<Expression, Error> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::TooLong);
    }
    let mut parser = Parser {
        text,
        lexer: Lexer::new(text),
        token: Token::End,
        span: Span::default(),
        near: Span::default(),
        depth: 0,
        unknown: None,
    };
    parser.advance(true);
    let expression = parser.or()?;
    match (&parser.token, parser.unknown) {
        (Token::End, None) => Ok(expression.tree),
        (Token::End, Some(error)) => Err(error),
        (_, unknown) => Err(Error::Syntax {
            offset: parser.span.start,
            near: lossy(text, parser.near),
            reason: unknown.map(Box::new),
        }),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    lexer: Lexer<'a>,
    token: Token,
    span: Span,
    /// The last token that is not an operator: what errors show.
    near: Span,
    /// Levels of the parser's own recursion.
    depth: usize,
    /// A bare name that was read. It is told of when nothing else is wrong, or behind what else is.
    unknown: Option<Error>,
}

/// A tree and how many levels it has.
struct Node {
    tree: Expression,
    depth: usize,
}

impl Node {
    fn leaf(tree: Expression) -> Node {
        Node { tree, depth: 1 }
    }

    /// A tree above trees of some depth.
    fn above(depth: usize, tree: Expression) -> Result<Node, Error> {
        match depth < DEPTH_MAX {
            true => Ok(Node { tree, depth: depth + 1 }),
            false => Err(Error::TooDeep),
        }
    }
}

fn lossy(text: &[u8], span: Span) -> String {
    String::from_utf8_lossy(&text[span.start..span.end]).into_owned()
}

impl Parser<'_> {
    fn advance(&mut self, operand: bool) {
        (self.token, self.span) = self.lexer.next_token(operand);
        match self.token {
            Token::Number(_) | Token::Text(_) | Token::Symbol | Token::Unknown => {
                self.near = self.span;
            }
            Token::Property(_) => self.near = Span { start: self.span.start + 1, ..self.span },
            _ => {}
        }
    }

    fn syntax_error<T>(&mut self) -> Result<T, Error> {
        Err(Error::Syntax {
            offset: self.span.start,
            near: lossy(self.text, self.near),
            reason: self.unknown.take().map(Box::new),
        })
    }

    fn or(&mut self) -> Result<Node, Error> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        let node = self.chain(&Token::Or, Parser::and, Expression::Or);
        self.depth -= 1;
        node
    }

    fn and(&mut self) -> Result<Node, Error> {
        self.chain(&Token::And, Parser::not, Expression::And)
    }

    /// Operands of one kind of operator, which are one level however many they are.
    fn chain(
        &mut self,
        operator: &Token,
        operand: fn(&mut Self) -> Result<Node, Error>,
        join: fn(Vec<Expression>) -> Expression,
    ) -> Result<Node, Error> {
        let first = operand(self)?;
        if self.token != *operator {
            return Ok(first);
        }
        let mut depth = first.depth;
        let mut all = vec![first.tree];
        while self.token == *operator {
            self.advance(true);
            let next = operand(self)?;
            depth = depth.max(next.depth);
            all.push(next.tree);
        }
        Node::above(depth, join(all))
    }

    fn not(&mut self) -> Result<Node, Error> {
        if self.token != Token::Not {
            return self.comparison();
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        self.advance(true);
        let child = self.not()?;
        self.depth -= 1;
        match child.tree {
            // Two of them cancel.
            Expression::Not(inner) => Ok(Node { tree: *inner, depth: child.depth - 1 }),
            tree => Node::above(child.depth, Expression::Not(Box::new(tree))),
        }
    }

    fn comparison(&mut self) -> Result<Node, Error> {
        let left = self.arithmetic(0)?;
        let Token::Compare(comparison) = self.token else { return Ok(left) };
        self.advance(true);
        let right = self.arithmetic(0)?;
        if let Token::Compare(_) = self.token {
            return self.syntax_error();
        }
        compare(comparison, left, right)
    }

    /// Operators that bind at least as strongly as `least`.
    fn arithmetic(&mut self, least: u8) -> Result<Node, Error> {
        let mut left = self.operand()?;
        loop {
            let Token::Arithmetic(operator) = self.token else { return Ok(left) };
            let strength = strength(operator);
            if strength < least {
                return Ok(left);
            }
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(Error::TooDeep);
            }
            self.advance(true);
            // Powers associate to the right.
            let right = self.arithmetic(strength + u8::from(operator != Operator::Power))?;
            self.depth -= 1;
            left = combine(operator, left, right)?;
        }
    }

    fn operand(&mut self) -> Result<Node, Error> {
        let token = std::mem::replace(&mut self.token, Token::End);
        match token {
            Token::Number(number) => {
                self.advance(false);
                Ok(Node::leaf(Expression::Number(number)))
            }
            Token::Text(text) => {
                self.advance(false);
                Ok(Node::leaf(Expression::Text(text)))
            }
            Token::Property(name) => {
                self.advance(false);
                Ok(Node::leaf(Expression::Property(Property { name, slot: 0 })))
            }
            Token::Open => {
                self.advance(true);
                let inner = self.or()?;
                self.close()?;
                Ok(inner)
            }
            Token::Symbol => self.symbol(),
            Token::Not => {
                // Behind an operator that binds more strongly it still takes the comparison that follows.
                self.token = token;
                self.not()
            }
            token => {
                self.token = token;
                self.syntax_error()
            }
        }
    }

    fn close(&mut self) -> Result<(), Error> {
        match self.token {
            Token::Close => {
                self.advance(false);
                Ok(())
            }
            _ => self.syntax_error(),
        }
    }

    fn symbol(&mut self) -> Result<Node, Error> {
        let name = self.span;
        self.advance(false);
        if self.token != Token::Open {
            let name = &self.text[name.start..name.end];
            if name != b"NULL" && self.unknown.is_none() {
                let name = String::from_utf8_lossy(name).into_owned();
                self.unknown = Some(Error::UnknownSymbol(name));
            }
            return Ok(Node::leaf(Expression::Null));
        }
        let (arguments, depth) = self.arguments()?;
        let written = lossy(self.text, name);
        let Some(function) = functions::find(&self.text[name.start..name.end]) else {
            return Err(Error::UnknownFunction(written));
        };
        let (min, max) = function.arity();
        if !(min..=max).contains(&arguments.len()) {
            return Err(Error::ArgumentCount(written, min, max, arguments.len()));
        }
        Node::above(depth, Expression::Call(Call { function, arguments, slot: 0 }))
    }

    /// What stands between the parentheses, and how many levels it has.
    fn arguments(&mut self) -> Result<(Vec<Expression>, usize), Error> {
        let mut arguments = Vec::new();
        let mut depth = 0;
        self.advance(true);
        if self.token == Token::Close {
            self.advance(false);
            return Ok((arguments, depth));
        }
        loop {
            let argument = self.or()?;
            depth = depth.max(argument.depth);
            arguments.push(argument.tree);
            if self.token != Token::Comma {
                self.close()?;
                return Ok((arguments, depth));
            }
            self.advance(true);
        }
    }
}

fn strength(operator: Operator) -> u8 {
    match operator {
        Operator::Add | Operator::Subtract => 0,
        Operator::Multiply | Operator::Divide | Operator::Modulo => 1,
        Operator::Power => 2,
    }
}

fn compare(comparison: Comparison, left: Node, right: Node) -> Result<Node, Error> {
    let depth = left.depth.max(right.depth);
    Node::above(depth, Expression::Compare(comparison, Box::new([left.tree, right.tree])))
}

/// Numbers are combined at once.
fn combine(operator: Operator, left: Node, right: Node) -> Result<Node, Error> {
    match (&left.tree, &right.tree) {
        (Expression::Number(a), Expression::Number(b)) => {
            Ok(Node::leaf(Expression::Number(operator.apply(*a, *b))))
        }
        _ => {
            let depth = left.depth.max(right.depth);
            let sides = Box::new([left.tree, right.tree]);
            Node::above(depth, Expression::Arithmetic(operator, sides))
        }
    }
}
