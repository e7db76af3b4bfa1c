"""The TypeScript SDK in React Native's JavaScript and its engine."""
